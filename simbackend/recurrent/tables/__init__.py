"""Tables of the RHEL paper and of what its reviewers asked for, each made by one command."""

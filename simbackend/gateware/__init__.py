"""The FPGA board as hardware: the integer leapfrog and its command set in Amaranth HDL.  Needs `labrhel[gateware]`.

It lies here, not with the drivers, because it is what stands *behind* the wire: the driver must work by what
`labrhel.wire.board` says and by nothing else, and the import contracts prove that neither side looks at the other.  It
is compared bit by bit with `simbackend.fixed_point`, whose neighbour it is.
"""

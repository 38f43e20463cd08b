"""The physics around the instruments: leads, signals, clocks, motion, records."""

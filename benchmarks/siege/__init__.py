"""What honest devices feel beside strangers who do their worst: the strangers, the devices, and the measure."""

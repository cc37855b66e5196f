"""The property of the packets: however an answer is cut into packets, and whatever follows it, its Result is one."""

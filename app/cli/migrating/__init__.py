"""What other indexes left, brought over: PyPICloud 1, folders, other servers."""

"""The database engines that are looked at or copied: how each is asked, in the words of all."""

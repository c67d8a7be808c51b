"""The parts of the reporting client (`nearmiss.client`): memory, disk, and the way to the API."""

"""Small files of every kind that the package reads, damaged or made to harm, by the thousand."""

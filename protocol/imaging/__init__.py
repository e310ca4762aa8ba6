"""DICOM in, nothing personal out: de-identification of ultrasound after PS3.15, Annex E.

deidentify      one instance: clean, or unclean with the reason
instances       reads what a device sent, within bounds
profile         what becomes of each attribute
headers         applies the profile
known           searches what stays for what went
pixels          blanks what lies outside of the regions
text            finds text inside of them
pseudonyms      patients, UIDs and dates under a hospital's secret
"""

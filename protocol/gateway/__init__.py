"""From devices into the vault: instances arrive over DICOM, are de-identified, or stay in quarantine."""

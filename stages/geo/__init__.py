"""Where and when: UTM zones, countries, places, seasons and times; plain functions over arrays and texts."""

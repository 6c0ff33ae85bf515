VERSION = "1.0.0"  # as the API's reference and the Content Credentials of a picture say it

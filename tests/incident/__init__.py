"""`make incident`: what operators rely on, on whole deployments: a day of incidents, and each tool by itself."""

"""`make incident`: what operators rely on, on whole deployments: a scripted day of incidents, and each tool by itself."""

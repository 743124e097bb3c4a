"""Membership inference: can one tell what a model was trained on from how it takes texts?"""

"""Eleven functions of the kinds that serverless snapshot papers measure, from "hello" to pandas.

Each lives in a module of its own; this one only gathers them into a bundle. `inputs/` holds two inputs for each, so
that a working set can be recorded with one and measured with the other.
"""

from aes import aes_encrypt
from cnn import cnn_serving
from dataframe import pandas_groupby
from frames import video_processing
from hello import hello
from html_table import html_table
from image import image_rotate
from json_documents import json_serdes
from logistic import lr_serving, lr_training
from rnn import rnn_serving

__all__ = [
    "aes_encrypt",
    "cnn_serving",
    "hello",
    "html_table",
    "image_rotate",
    "json_serdes",
    "lr_serving",
    "lr_training",
    "pandas_groupby",
    "rnn_serving",
    "video_processing",
]

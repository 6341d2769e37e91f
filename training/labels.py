"""The words for the settings of a training job."""

from __future__ import annotations

ARCHITECTURES = (
    ("tf_efficientnet_lite0", "EfficientNet-Lite0 (laptop)"),
    ("tf_efficientnet_b0", "EfficientNet-B0"),
    ("tf_efficientnet_b4", "EfficientNet-B4 (production)"),
    ("tf_efficientnet_b5", "EfficientNet-B5"),
    ("resnet101", "ResNet-101"),
    ("convnext_tiny", "ConvNeXt-Tiny"),
    ("swin_base_patch4_window7_224", "Swin-B, window 7"),
    ("vit_base_patch16_384", "ViT-B/16"),
)

LABELS = {
    "architecture": ("Architecture", "The network; any timm name works."),
    "image_size_px": (
        "Image size",
        "Pixels; larger sees finer marks and takes longer.",
    ),
    "embedding_size": ("Embedding size", "Numbers that describe one crop."),
    "pooling": ("Pooling", "avg is the usual one; gem stresses strong marks."),
    "epochs": ("Epochs", "Passes over the training crops; 10 to 50 are usual."),
    "batch_size": ("Batch size", "Crops looked at together in one step."),
    "balanced_sampler": (
        "Balance individuals",
        "Show individuals with few crops as often as the others.",
    ),
    "optimizer": ("Optimiser", "adamw suits nearly always."),
    "learning_rate": ("Learning rate", "Step size of the head; smaller is steadier."),
    "backbone_learning_rate_factor": (
        "Backbone's share of the rate",
        "Below 1 the pretrained network changes more slowly than the head.",
    ),
    "weight_decay": ("Weight decay", "Holds weights small, against overfitting."),
    "schedule": ("Schedule", "cosine lets the rate fall to its minimum."),
    "warmup_epochs": ("Warm-up", "Epochs over which the rate rises from zero."),
    "min_learning_rate": ("Smallest rate", "Where the cosine schedule ends."),
    "head_warmup_epochs": (
        "Head first",
        "Epochs at the start in which only the head learns.",
    ),
    "gradient_clip": ("Gradient limit", "Caps single large steps; 0 means no limit."),
    "margin": ("ArcFace margin", "Radians between individuals; 0.5 is published."),
    "scale": ("ArcFace scale", "Sharpness of the decision; 30 is published."),
    "label_smoothing": (
        "Label smoothing",
        "Share of doubt about each label; helps where labels have errors.",
    ),
    "augmentation": (
        "Augmentation",
        "Strength of random crops, turns, light and noise; 1 is published, 0 is none.",
    ),
    "hflip": (
        "Mirror at random",
        "Only where left and right show the same marks.",
    ),
    "validation_share": (
        "Held out for validation",
        "Share of each individual's encounters that is only tested on.",
    ),
    "early_stopping_epochs": (
        "Stop early",
        "Stop after so many epochs without a better one; 0 is never.",
    ),
    "mixed_precision": (
        "Mixed precision",
        "auto uses it where it is faster on this machine.",
    ),
    "threads": ("Processor threads", "0 uses all cores."),
    "seed": ("Seed", "The same seed gives the same model again."),
}

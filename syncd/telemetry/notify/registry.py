"""The channels that exist: a class and a line here make one."""

from syncd.config.notify import Channel, DingTalk, Email, Feishu, Slack, Webhook, WeCom
from syncd.telemetry.notify.base import Sender
from syncd.telemetry.notify.dingtalk import DingTalkSender
from syncd.telemetry.notify.feishu import FeishuSender
from syncd.telemetry.notify.mail import MailSender
from syncd.telemetry.notify.slack import SlackSender
from syncd.telemetry.notify.webhook import WebhookSender
from syncd.telemetry.notify.wecom import WeComSender


def build(name: str, channel: Channel) -> Sender:
    """Return what sends to a channel, which the configuration calls `name`."""
    match channel:
        case DingTalk():
            return DingTalkSender(channel)
        case Feishu():
            return FeishuSender(channel)
        case WeCom():
            return WeComSender(channel)
        case Slack():
            return SlackSender(channel)
        case Email():
            return MailSender(name, channel)
        case Webhook():
            return WebhookSender(channel)
    raise TypeError(f"no channel sends for {type(channel).__name__}")

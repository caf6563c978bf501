"""An edge node by pysparkplug, as a process of its own: `python sparkplug_node.py PORT`.

It is born when it connects and when a rebirth command tells it to. For each line on standard input, a number, it sends
that reading of its device by alias alone; a second number is the time at which it was read, in ms. At the end of input
it is gone without a word, so that the broker sends its last will.
"""

import dataclasses
import itertools
import os
import sys
import threading

from pysparkplug import (
    Client,
    ClientOptions,
    DataType,
    DBirth,
    DData,
    Message,
    MessageType,
    Metric,
    NBirth,
    NDeath,
    QoS,
    Topic,
    get_current_timestamp,
)

GROUP, NODE, DEVICE = "plant", "press", "E-1"
IMPORT, EXPORT = 11, 12

sequence = iter(range(0))
lock = threading.Lock()


def metric(name, datatype, value, alias=None, **more):
    return Metric(timestamp=get_current_timestamp(), name=name, datatype=datatype, value=value, alias=alias, **more)


def message(kind, payload, device=None):
    topic = Topic(message_type=kind, group_id=GROUP, edge_node_id=NODE, device_id=device)
    return Message(topic=topic, payload=payload, qos=QoS.AT_MOST_ONCE, retain=False)


bd_seq = metric("bdSeq", DataType.INT64, 7)


def be_born(client):
    global sequence  # noqa: PLW0603
    with lock:
        sequence = itertools.cycle(range(256))
        rebirth = metric("Node Control/Rebirth", DataType.BOOLEAN, False)
        own = metric("E-2/1-0:1.8.0", DataType.UINT32, 900)
        birth = NBirth(timestamp=get_current_timestamp(), seq=next(sequence), metrics=(bd_seq, rebirth, own))
        client.publish(message(MessageType.NBIRTH, birth))
        metrics = (
            metric("1-0:1.8.0", DataType.INT64, 48211370, IMPORT),
            metric("1-0:2.8.0", DataType.DOUBLE, 17.5, EXPORT),
            metric("voltage", DataType.FLOAT, 230.1, 13),
            metric("serial", DataType.STRING, "SN-1", 14),
        )
        birth = DBirth(timestamp=get_current_timestamp(), seq=next(sequence), metrics=metrics)
        client.publish(message(MessageType.DBIRTH, birth, DEVICE))


def on_command(client, command):
    if any(one.name == "Node Control/Rebirth" and one.value is True for one in command.payload.metrics):
        be_born(client)


client = Client(client_options=ClientOptions())
client.set_will(message(MessageType.NDEATH, NDeath(timestamp=get_current_timestamp(), bd_seq_metric=bd_seq)))
client.subscribe(Topic(message_type=MessageType.NCMD, group_id=GROUP, edge_node_id=NODE), QoS.AT_LEAST_ONCE, on_command)
client.connect("127.0.0.1", port=int(sys.argv[1]), callback=be_born)
for line in sys.stdin:
    value, *at = map(int, line.split())
    with lock:
        read = metric(None, DataType.INT64, value, IMPORT)
        if at:
            read = dataclasses.replace(read, timestamp=at[0], is_historical=True)
        data = DData(timestamp=get_current_timestamp(), seq=next(sequence), metrics=(read,))
        client.publish(message(MessageType.DDATA, data, DEVICE))
os._exit(0)

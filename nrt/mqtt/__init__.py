"""What both ends of an MQTT connection share: the daemon, and those who watch and steer it.

| module     | what is there                                                                      |
|------------|------------------------------------------------------------------------------------|
| address    | how a broker is named, and the options and secrets to connect with                 |
| connection | a connection: aiomqtt, in one place                                                |
| topics     | the names of topics                                                                |
| codec      | events and spikes as messages: a header of 24 bytes and packed records             |
| link       | a device used from afar: the messages both ways                                    |
| networks   | a network as bytes, without pickle                                                 |
"""

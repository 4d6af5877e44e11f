"""What both ends of an MQTT connection share: the daemon, and those who watch and steer it.

| module     | what is there                                                                      |
|------------|------------------------------------------------------------------------------------|
| address    | how a broker is named, and the options and secrets to connect with                 |
| dialer     | opens connections                                                                  |
| connection | an open connection                                                                 |
| library    | aiomqtt, which is asyncio-mqtt under its new name                                  |
| gate       | the queue of what came, which has reading stop while it is long                    |
| topics     | the names of topics                                                                |
| codec      | events and spikes as messages: a header of 24 bytes and packed records             |
| sender     | publishing in order, with several messages on their way                            |
| failure    | what broke a connection, among all that failed because of it                       |
| link       | a device used from afar: the messages both ways                                    |
| networks   | a network as bytes, without pickle                                                 |
"""

/** NATS JetStream of the newest server, which syncs its files after each write; its default is every two minutes. */
import { NEWEST_NATS } from '../newest-nats.ts'
import { jetStream } from './nats-jetstream.ts'

export const system = jetStream(['sync_interval: "always"'], NEWEST_NATS)

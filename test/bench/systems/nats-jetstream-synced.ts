/** NATS JetStream that syncs its files after each write; its default is every two minutes. Needs nats-server 2.10. */
import { jetStream } from './nats-jetstream.ts'

export const system = jetStream(['sync_interval: "always"'])

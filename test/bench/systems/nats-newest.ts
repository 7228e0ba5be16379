/** NATS with the newest server. */
import { NEWEST_NATS } from '../newest-nats.ts'
import { natsOver } from './nats.ts'

export const system = natsOver(NEWEST_NATS)

/**
 * What of gossipsub's class its type leaves out and this node uses, checked once; and the id of a message. No state.
 */
import { hash } from 'node:crypto'
import type { GossipSub, Message, TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'

/** Gossipsub whose messages wait for a verdict, with the methods and tables of its class that its type leaves out. */
export type GossipsubInternals = GossipSub & {
  /** By topic, those that this node exchanges whole messages with. */
  readonly mesh: ReadonlyMap<string, ReadonlySet<string>>
  readonly streamsOutbound: ReadonlyMap<string, unknown>
  reportMessageValidationResult(id: string, from: string, result: TopicValidatorResult): void
  sendSubscriptions(to: string, topics: string[], subscribe: boolean): void
  sendGraft(to: string, topics: string[]): void
}

const METHODS = ['reportMessageValidationResult', 'sendSubscriptions', 'sendGraft']
const TABLES = ['mesh', 'streamsOutbound']

/** @throws TypeError when another release of gossipsub has these by other names */
export const gossipsubInternals = (gossip: GossipSub): GossipsubInternals => {
  const has = (value: GossipSub): value is GossipsubInternals =>
    METHODS.every((name) => typeof Reflect.get(value, name) === 'function') &&
    TABLES.every((name) => Reflect.get(value, name) instanceof Map)
  if (has(gossip)) return gossip
  throw new TypeError(`this release of gossipsub lacks one of ${[...METHODS, ...TABLES].join(', ')}`)
}

/** Id of a gossip message. */
export const gossipId = (message: Message): Uint8Array => hash('sha256', message.data, 'buffer')

/**
 * Counts the messages that gossip brings to each node of this process, before gossipsub drops what it knows already.
 *
 * gossipsub tells only what it lets through, and does not export its class: the prototype is taken from an instance.
 */
import type { PeerId } from '@libp2p/interface'
import { startRawPeer } from './raw-peer.ts'

export interface GossipTap {
  /** Messages on gossip topics that end in `suffix`, which came to the peer: all of them, and without repetition. */
  counts(peer: string, suffix: string): { all: number; distinct: number }
  stop(): void
}

interface Rpc {
  messages?: { topic: string; data?: Uint8Array }[]
}
type Receive = (this: { components: { peerId: PeerId } }, from: PeerId, rpc: Rpc) => Promise<void>

export const tapGossip = async (): Promise<GossipTap> => {
  const raw = await startRawPeer()
  const prototype: object = Object.getPrototypeOf(raw.libp2p.services.gossip)
  await raw.stop()
  const receive: unknown = Reflect.get(prototype, 'handleReceivedRpc')
  if (typeof receive !== 'function') throw new TypeError('this release of gossipsub receives elsewhere')
  const came: { peer: string; topic: string; data: string }[] = []
  const tapped: Receive = function (from, rpc) {
    const peer = this.components.peerId.toString()
    for (const { topic, data } of rpc.messages ?? []) {
      came.push({ peer, topic, data: Buffer.from(data ?? []).toString('latin1') })
    }
    return receive.call(this, from, rpc)
  }
  Reflect.set(prototype, 'handleReceivedRpc', tapped)
  return {
    counts(peer, suffix) {
      const here = came.filter((message) => message.peer === peer && message.topic.endsWith(suffix))
      return { all: here.length, distinct: new Set(here.map(({ data }) => data)).size }
    },
    stop: () => void Reflect.set(prototype, 'handleReceivedRpc', receive),
  }
}

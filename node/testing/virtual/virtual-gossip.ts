/**
 * Gossip among the nodes of a port network: a message floods from neighbour to neighbour among the subscribers of its
 * topic, each node passing it on once, after its `accept` said yes. Single hops can be lost (`loss`).
 *
 * State per node: subscriptions and the digests of messages seen (at most MAX_SEEN, the oldest go first).
 */
import { createHash } from 'node:crypto'
import type { Acceptance, Gossip } from '../../../protocols/port.ts'

const MAX_SEEN = 10_000

export interface GossipNode {
  readonly id: string
  readonly neighbours: () => string[]
  /** Runs `fn` at the other node after the link's latency, if the link still stands then. */
  readonly send: (to: string, bytes: Uint8Array, fn: () => void) => void
}

interface Subscription {
  accept: (bytes: Uint8Array, from: string) => Promise<Acceptance>
  deliver: (bytes: Uint8Array) => void
}

interface Ear {
  node: GossipNode
  topics: Map<string, Set<Subscription>>
  watchers: Set<(peer: string) => void>
  /** Neighbours whose subscriptions have arrived; to others nothing is sent yet. */
  introduced: Set<string>
  seen: Set<string>
  /** Messages that an `accept` of this node refused. */
  refused: number
}

export const createVirtualGossip = (lost: () => boolean) => {
  const ears = new Map<string, Ear>()
  const subscribersOf = ({ node, introduced }: Ear, topic: string): string[] =>
    node.neighbours().filter((id) => introduced.has(id) && (ears.get(id)?.topics.get(topic)?.size ?? 0) > 0)

  const isNew = ({ seen }: Ear, topic: string, bytes: Uint8Array): boolean => {
    const key = createHash('sha256').update(topic).update('\n').update(bytes).digest('base64')
    if (seen.has(key)) return false
    seen.add(key)
    const [oldest] = seen
    if (seen.size > MAX_SEEN && oldest !== undefined) seen.delete(oldest)
    return true
  }

  const forward = (ear: Ear, topic: string, bytes: Uint8Array, except: string): number => {
    const targets = subscribersOf(ear, topic).filter((id) => id !== except)
    for (const id of targets) {
      if (!lost()) ear.node.send(id, bytes, () => void arrive(id, topic, bytes.slice(), ear.node.id))
    }
    return targets.length
  }

  const arrive = async (id: string, topic: string, bytes: Uint8Array, from: string): Promise<void> => {
    const ear = ears.get(id)
    if (ear === undefined || !isNew(ear, topic, bytes)) return
    let passOn = true
    for (const { accept, deliver } of [...(ear.topics.get(topic) ?? [])]) {
      const acceptance = await accept(bytes, from)
      if (acceptance === 'refuse') {
        ear.refused += 1
        return
      }
      if (acceptance === 'ignore') return
      if (acceptance === 'keep') passOn = false
      deliver(bytes)
    }
    if (passOn) forward(ear, topic, bytes, from)
  }

  /** Sends a node's subscriptions to a neighbour. */
  const introduce = (ear: Ear, to: string): void => {
    ear.node.send(to, new Uint8Array(), () => {
      const other = ears.get(to)
      other?.introduced.add(ear.node.id)
      for (const fn of [...(other?.watchers ?? [])]) fn(ear.node.id)
    })
  }
  const tell = (ear: Ear): void => {
    for (const id of ear.node.neighbours()) introduce(ear, id)
  }

  const join = (node: GossipNode): Gossip => {
    const ear: Ear = {
      node,
      topics: new Map(),
      watchers: new Set(),
      introduced: new Set(),
      seen: new Set(),
      refused: 0,
    }
    ears.set(node.id, ear)
    return {
      publish: async (topic, bytes) => (isNew(ear, topic, bytes) ? forward(ear, topic, bytes, node.id) : 0),
      subscribe: (topic, accept, deliver) => {
        const subscription = { accept, deliver }
        const all = ear.topics.get(topic) ?? new Set()
        ear.topics.set(topic, all.add(subscription))
        tell(ear)
        return () => {
          all.delete(subscription)
          tell(ear)
        }
      },
      subscribers: (topic) => subscribersOf(ear, topic),
      topics: () => [...new Set(node.neighbours().flatMap((id) => [...(ears.get(id)?.topics.keys() ?? [])]))],
      onSubscriptions: (fn) => {
        ear.watchers.add(fn)
        return () => ear.watchers.delete(fn)
      },
      writable: async () => {},
    }
  }

  return {
    join,
    connected: (a: string, b: string): void => {
      const [one, two] = [ears.get(a), ears.get(b)]
      if (one) introduce(one, b)
      if (two) introduce(two, a)
    },
    disconnected: (a: string, b: string): void => {
      ears.get(a)?.introduced.delete(b)
      ears.get(b)?.introduced.delete(a)
    },
    leave: (id: string): void => {
      ears.delete(id)
    },
    refused: (id: string): number => ears.get(id)?.refused ?? 0,
  }
}

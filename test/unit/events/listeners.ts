/** Nodes that listen to `tasks.#` on a seeded net, neighbours that hold batches for them, and the repair alone. */
import assert from 'node:assert/strict'
import { ParleyError } from '../../../protocols/errors.ts'
import type { MeshEvent, Missed } from '../../../protocols/events/event.ts'
import { createEvents } from '../../../protocols/events/events.ts'
import type { EventsOptions } from '../../../protocols/events/options.ts'
import { eventsProtocol } from '../../../protocols/events/protocol.ts'
import { batch } from './forged.ts'
import type { createPorts, Peer } from './ports.ts'

export const TOPIC = 'events/tasks'
export const SEEDS = Array.from({ length: 25 }, (_, index) => index + 1)

export type Net = ReturnType<typeof createPorts>

export const node = (net: Net, id: string, options: EventsOptions = {}) => {
  const peer = net.add(id)
  const events = createEvents(peer.port, options)
  const heard: MeshEvent[] = []
  const missed: Missed[] = []
  const listen = () =>
    net.until(events.subscribe('tasks.#', (event) => void heard.push(event), { onMissed: (gap) => missed.push(gap) }))
  return {
    peer,
    events,
    heard,
    missed,
    listen,
    data: () => heard.map(({ data }) => data),
    publish: (data: unknown, given = {}) => net.until(events.publish('tasks.x', data, given)),
    /** Who asked this node for which events. */
    asked: () =>
      peer.calls.flatMap(({ from, input }) =>
        typeof input === 'object' && input !== null && 'from' in input && 'to' in input
          ? [{ by: from, from: input.from, to: input.to }]
          : [],
      ),
    repaired: () => peer.count('events_repaired_total'),
    unrepaired: () => peer.count('event_gaps_unrepaired_total'),
    refused: (reason: string) => peer.count('event_batches_refused_total', { reason }),
  }
}
export type Node = ReturnType<typeof node>

/** Nodes that are all connected to all and listen to `tasks.#`. */
export const nodes = async (
  net: Net,
  ids: readonly string[],
  options: EventsOptions = {},
): Promise<[Node, Node, Node, Node]> => {
  const all = ids.map((id) => node(net, id, options))
  for (const [index, a] of all.entries()) for (const b of all.slice(index + 1)) net.connect(a.peer, b.peer)
  await net.run(100)
  for (const each of all) await each.listen()
  const [a, b, c = b, d = c] = all
  assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined)
  return [a, b, c, d]
}

/** What gossip brings to `peers` is lost while `run` runs. */
export const losing = async (net: Net, peers: Node[], run: () => Promise<unknown>): Promise<void> => {
  for (const { peer } of peers) peer.gossip.keep = () => false
  await run()
  await net.run(20)
  for (const { peer } of peers) peer.gossip.keep = () => true
}

/** A neighbour that hears `tasks` and answers as it is told to. */
export const holder = async (
  net: Net,
  id: string,
  answer: (from: number) => { batches: Uint8Array[]; more?: boolean },
  /** It answers as version 1.1 does. */
  { old = false } = {},
) => {
  const peer = net.add(id)
  peer.port.gossip.subscribe(
    TOPIC,
    async () => 'keep',
    () => undefined,
  )
  await peer.port.serve(eventsProtocol, {
    sync: async ({ topics }) => ({ seen: topics, hears: topics, ...(old ? {} : { own: [] }) }),
    heads: () => undefined,
    catalog() {
      if (old) throw new ParleyError('MSG004', 'there is no method catalog')
      return { held: [] }
    },
    fetch: async ({ from, to }) => {
      const { batches, more = false } = answer(from)
      return { batches: batches.map((bytes) => ({ bytes, ageMs: 0 })), more, ...(old ? {} : { goneTo: to }) }
    },
  })
  return peer
}

/** A listener that misses numbers 2 to `last` - 1 of publisher q, whom it does not know, and asks these neighbours. */
export const withGap = async (net: Net, neighbours: Peer[], last = 3): Promise<Node> => {
  const listener = node(net, 'p')
  for (const peer of neighbours) net.connect(listener.peer, peer)
  await net.run(100)
  await listener.listen()
  for (const first of [1, last]) await net.until(listener.peer.gossip.receive(TOPIC, batch({ first })))
  return listener
}
export const sequences = ({ heard }: Node): number[] => heard.map(({ sequence }) => sequence)

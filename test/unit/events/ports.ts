/**
 * A seeded network of ports in one process and in virtual time, as small as the events feature needs it: gossip to direct
 * neighbours, unary calls, signatures that cannot be made for another peer. Gossip and calls run on streams of their own
 * with delays of their own, so that one may overtake the other, as in life.
 */
import { createHash } from 'node:crypto'
import type { AnyProtocol, Context } from '../../../protocols/define.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { EventsPort } from '../../../protocols/events/api.ts'
import type { Acceptance, Labels, Member } from '../../../protocols/port.ts'

type Sink = { accept(bytes: Uint8Array, from: string): Promise<Acceptance>; deliver(bytes: Uint8Array): void }
type Served = { protocol: AnyProtocol; handlers: Record<string, (input: unknown, context: Context) => unknown> }

/** xorshift32 */
const random = (seed: number) => {
  let state = seed | 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

export const signAs = (peer: string, bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha512').update(peer).update('\0').update(bytes).digest())

/** Lets everything happen that needs no time. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export interface Peer {
  readonly id: string
  readonly port: EventsPort
  readonly logged: { level: string; message: string }[]
  /** Sum of a counter over all labels, or over those given. */
  count(name: string, labels?: Labels): number
  gauge(name: string): number
  readonly gossip: {
    /** Bytes published by this peer, in order. */
    readonly published: { topic: string; bytes: Uint8Array }[]
    /** Topics this peer is subscribed to. */
    topics(): string[]
    /** Hands bytes to this peer as if a neighbour had forwarded them. */
    receive(topic: string, bytes: Uint8Array, from?: string): Promise<Acceptance>
    /** While set, writable() waits for it. */
    blocked: Promise<void> | undefined
    /** While set, publishing fails. */
    failure: Error | undefined
    /** False loses what arrives. */
    keep: (bytes: Uint8Array) => boolean
  }
  /** Calls that arrived at this peer. */
  readonly calls: { from: string; input: unknown }[]
  /** While true, calls to this peer are never answered. */
  frozen: boolean
  /** Replaces the signing. */
  sign: (bytes: Uint8Array) => Promise<Uint8Array>
  verify: (peer: string, bytes: Uint8Array, signature: Uint8Array) => Promise<boolean>
}

export const createPorts = (seed = 1) => {
  const next = random(seed)
  let now = 0
  let order = 0
  const agenda: { at: number; order: number; fn: () => void }[] = []
  const peers = new Map<string, Peer & { sinks: Map<string, Sink>; views: Map<string, Set<string>>; wire: Wire }>()
  interface Wire {
    served: Map<string, Served>
    members: Map<string, Member>
    memberFns: Set<(member: Member, change: 'joined' | 'left') => void>
    subscriptionFns: Set<(peer: string) => void>
  }
  /** When the last message of a stream arrives: a stream keeps its order. */
  const streams = new Map<string, number>()

  const after = (delayMs: number, fn: () => void) => {
    const entry = { at: now + delayMs, order: order++, fn }
    agenda.push(entry)
    return () => {
      const index = agenda.indexOf(entry)
      if (index >= 0) agenda.splice(index, 1)
    }
  }
  const travel = (stream: string, fn: () => void) => {
    const at = Math.max(now + 1 + next() * 10, streams.get(stream) ?? 0)
    streams.set(stream, at)
    after(at - now, fn)
  }
  const connected = (a: string, b: string) => peers.get(a)?.views.has(b) === true && peers.get(b)?.views.has(a) === true

  const tellTopics = (from: string, to: string) => {
    const topics = new Set(peers.get(from)?.sinks.keys())
    travel(`gossip ${from} ${to}`, () => {
      if (!connected(from, to)) return
      peers.get(to)?.views.set(from, topics)
      for (const fn of peers.get(to)?.wire.subscriptionFns ?? []) fn(from)
    })
  }
  const tellAll = (from: string) => {
    for (const to of peers.get(from)?.views.keys() ?? []) tellTopics(from, to)
  }

  const call = (from: string, to: string, protocol: AnyProtocol, method: string, input: unknown, timeoutMs: number) =>
    new Promise((resolve, reject) => {
      const cancel = after(timeoutMs, () =>
        reject(new ParleyError('COM001', `${to} did not answer in ${timeoutMs} ms`)),
      )
      const fail = (error: unknown) => {
        cancel()
        reject(error)
      }
      const openedAt = now
      const arrive = async () => {
        const peer = peers.get(to)
        if (peer === undefined || !connected(from, to)) return fail(new ParleyError('COM002', `${to} is not connected`))
        peer.calls.push({ from, input })
        if (peer.frozen) return
        const served = peer.wire.served.get(protocol.name)
        const contract = protocol.methods[method]
        if (contract !== undefined && 'oneWay' in contract) {
          cancel()
          resolve(undefined)
          return void served?.handlers[method]?.(contract.request.parse(input), { peer: from } as unknown as Context)
        }
        if (served === undefined || contract === undefined || !('response' in contract)) {
          return fail(new ParleyError('MSG004', `${to} does not speak ${protocol.name}`))
        }
        const context = { peer: from, remainingMs: () => timeoutMs - (now - openedAt) }
        try {
          const output = await served.handlers[method]?.(contract.request.parse(input), context as unknown as Context)
          travel(`call ${to} ${from}`, () => {
            if (!connected(from, to)) return fail(new ParleyError('COM002', `${to} is not connected`))
            cancel()
            resolve(contract.response.parse(output))
          })
        } catch (error) {
          fail(error)
        }
      }
      travel(`call ${from} ${to}`, () => void arrive())
    })

  const add = (id: string, incarnation = 1000): Peer => {
    const counts = new Map<string, number>()
    const gauges = new Map<string, () => number>()
    const sinks = new Map<string, Sink>()
    const views = new Map<string, Set<string>>()
    const wire: Wire = { served: new Map(), members: new Map(), memberFns: new Set(), subscriptionFns: new Set() }
    const logged: Peer['logged'] = []
    const log = (level: string) => (message: string) => void logged.push({ level, message })
    const listen = <F>(fns: Set<F>, fn: F) => {
      fns.add(fn)
      return () => void fns.delete(fn)
    }
    const receive = async (topic: string, bytes: Uint8Array, from = 'a forwarder'): Promise<Acceptance> => {
      const sink = sinks.get(topic)
      if (sink === undefined) return 'ignore'
      const acceptance = await sink.accept(bytes, from)
      if ((acceptance === 'keep' || acceptance === 'forward') && sinks.get(topic) === sink) sink.deliver(bytes)
      return acceptance
    }
    const gossip: Peer['gossip'] = {
      published: [],
      topics: () => [...sinks.keys()],
      receive,
      blocked: undefined,
      failure: undefined,
      keep: () => true,
    }
    const port: EventsPort = {
      self: { id, name: id, mesh: 'test', incarnation },
      clock: { now: () => 1_700_000_000_000 + Math.floor(now), monotonic: () => now },
      timers: {
        after,
        every() {
          throw new Error('events needs no period')
        },
      },
      log: { error: log('error'), warn: log('warn'), info: log('info') },
      metrics: {
        counter: (name) => {
          return (labels = {}, by = 1) => {
            const key = `${name} ${JSON.stringify(labels)}`
            counts.set(key, (counts.get(key) ?? 0) + by)
          }
        },
        histogram: () => () => undefined,
        gauge: (name, _help, read) => void gauges.set(name, read),
      },
      gossip: {
        async publish(topic, bytes) {
          if (gossip.failure !== undefined) throw gossip.failure
          gossip.published.push({ topic, bytes })
          const to = [...views].filter(([, topics]) => topics.has(topic)).map(([peer]) => peer)
          for (const peer of to) {
            travel(`gossip ${id} ${peer}`, () => {
              const other = peers.get(peer)
              // A copy for each, as it comes off the wire.
              const copy = bytes.slice()
              if (connected(id, peer) && other?.gossip.keep(copy) === true) void other.gossip.receive(topic, copy, id)
            })
          }
          return to.length
        },
        subscribe(topic, accept, deliver) {
          if (sinks.has(topic)) throw new Error(`${topic} is subscribed already`)
          const sink = { accept, deliver }
          sinks.set(topic, sink)
          tellAll(id)
          return () => {
            if (sinks.get(topic) !== sink) return
            sinks.delete(topic)
            tellAll(id)
          }
        },
        subscribers: (topic) => [...views].filter(([, topics]) => topics.has(topic)).map(([peer]) => peer),
        topics: () => [...new Set([...views.values()].flatMap((topics) => [...topics]))],
        onSubscriptions: (fn) => listen(wire.subscriptionFns, fn),
        writable: async () => gossip.blocked,
      },
      hash: (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
      random: (bytes) => Uint8Array.from({ length: bytes }, () => Math.floor(next() * 256)),
      sign: (bytes) => peer.sign(bytes),
      verify: (publisher, bytes, signature) => peer.verify(publisher, bytes, signature),
      members: () => [...wire.members.values()],
      onMember: (fn) => listen(wire.memberFns, fn),
      async serve(protocol, handlers) {
        wire.served.set(protocol.name, { protocol, handlers: handlers as unknown as Served['handlers'] })
        return async () => void wire.served.delete(protocol.name)
      },
      to(to, protocol) {
        const methods = Object.keys(protocol.methods).map((method) => [
          method,
          (input: unknown, { timeoutMs = 30_000 } = {}) => call(id, to, protocol, method, input, timeoutMs),
        ])
        return Object.fromEntries(methods)
      },
    }
    const peer = {
      id,
      port,
      logged,
      count: (name: string, labels?: Labels) => {
        const wanted = Object.entries(labels ?? {})
        const holds = (key: string) => {
          const given: Labels = JSON.parse(key.slice(name.length + 1))
          return wanted.every(([label, value]) => given[label] === value)
        }
        const keys = [...counts.keys()].filter((key) => key.startsWith(`${name} `) && holds(key))
        return keys.reduce((sum, key) => sum + (counts.get(key) ?? 0), 0)
      },
      gauge: (name: string) => gauges.get(name)?.() ?? Number.NaN,
      gossip,
      calls: [],
      frozen: false,
      sign: async (bytes: Uint8Array) => signAs(id, bytes),
      verify: async (publisher: string, bytes: Uint8Array, signature: Uint8Array) =>
        Buffer.compare(signAs(publisher, bytes), signature) === 0,
      sinks,
      views,
      wire,
    }
    peers.set(id, peer)
    return peer
  }

  const join = (a: string, b: string) => {
    peers.get(a)?.views.set(b, new Set())
    after(next() * 5, () => {
      const peer = peers.get(a)
      if (!connected(a, b) || peer === undefined) return
      const member = { id: b, name: b }
      peer.wire.members.set(b, member)
      for (const fn of peer.wire.memberFns) fn(member, 'joined')
    })
  }
  const leave = (a: string, b: string) => {
    const peer = peers.get(a)
    peer?.views.delete(b)
    const member = peer?.wire.members.get(b)
    peer?.wire.members.delete(b)
    if (peer !== undefined && member !== undefined) for (const fn of peer.wire.memberFns) fn(member, 'left')
  }

  /** Does what is on the agenda for the next `ms` milliseconds. */
  const run = async (ms: number): Promise<void> => {
    const end = now + ms
    await turn()
    for (;;) {
      agenda.sort((a, b) => a.at - b.at || a.order - b.order)
      const entry = agenda[0]
      if (entry === undefined || entry.at > end) break
      agenda.shift()
      now = Math.max(now, entry.at)
      entry.fn()
      await turn()
    }
    now = end
  }

  return {
    add,
    now: () => now,
    connect(a: Peer, b: Peer) {
      join(a.id, b.id)
      join(b.id, a.id)
      tellTopics(a.id, b.id)
      tellTopics(b.id, a.id)
    },
    /** Tells `a` of its neighbour `b` a second time, without a leave in between. */
    joinAgain(a: Peer, b: Peer) {
      for (const fn of peers.get(a.id)?.wire.memberFns ?? []) fn({ id: b.id, name: b.id }, 'joined')
    },
    disconnect(a: Peer, b: Peer) {
      leave(a.id, b.id)
      leave(b.id, a.id)
    },
    run,
    /** Lets time pass until the promise settles; throws when a virtual minute was not enough. */
    async until<T>(promise: Promise<T>): Promise<T> {
      let open = true
      const done = promise.finally(() => {
        open = false
      })
      done.catch(() => undefined)
      const end = now + 60_000
      await turn()
      while (open && now < end) await run(1)
      if (open) throw new Error('still waiting after a minute of virtual time')
      return done
    },
  }
}

/**
 * What a test may ask of a mesh in another process. Each verb takes and gives plain data; peer-process.ts carries them
 * out, processes.ts asks for them.
 *
 * State, per mesh: calls that were begun, streams that are read, subscriptions with what they heard.
 */

import { setTimeout } from 'node:timers/promises'
import { createMesh, type Mesh, type MeshOptionsInput, type ThirdPartyReply } from '../../node/index.ts'
import { openFolder } from '../../node/store/files/disk.ts'
import type { CallOptions } from '../../protocols/define.ts'
import type { SubscribeOptions } from '../../protocols/events/api.ts'
import type { MeshEvent } from '../../protocols/events/event.ts'
import { budgetVerbs } from './budget-verbs.ts'
import { coalitionVerbs } from './coalition-verbs.ts'
import { counter } from './counter-part.ts'
import { createGuards } from './guards.ts'
import { messageVerbs } from './message-verbs.ts'
import { payVerbs } from './pay.ts'
import { planVerbs } from './plan-verbs.ts'
import { createProbe, newerProbe, type ProbeNode, probe } from './probe.ts'
import { createRelay, relay } from './relay.ts'
import { resourceVerbs } from './resource-verbs.ts'
import { createShop, oldShop, registerCommands } from './shop.ts'
import { type StoredGroup, startStoredGroup } from './stored-group.ts'
import { tallyVerbs } from './tally.ts'
import { taskVerbs } from './task-verbs.ts'
import { trustVerbs } from './trust-verbs.ts'
import { word } from './words.ts'

interface Heard {
  events: { topic: string; data: unknown; source: string }[]
  count: number
  missed: number
  dropped(): number
  /** Lets a listener that was told to wait go on. */
  go(): void
}

interface Hosted extends ProbeNode {
  mesh: Mesh
  /** What its guards let through. */
  audited: readonly string[]
  running: Map<number, { outcome: Promise<unknown>; abort: AbortController }>
  streams: Map<number, AsyncIterator<unknown>>
  subscriptions: Map<number, Heard>
  replies: ThirdPartyReply[]
  /** How often its shop and its commands were run. */
  runs: Record<string, number>
  notified: { name: string; data: unknown; source: string; epoch: number }[]
  /** Its member of a group of words. */
  member: StoredGroup | undefined
  serial: number
}

type UnaryName = 'echo' | 'who' | 'hold' | 'holdAgain' | 'fail' | 'lie' | 'launch' | 'note'

/** `counts`: with the part of counter-part.ts; `guarded`: with the interceptors of guards.ts. */
export type StartOptions = MeshOptionsInput & { counts?: boolean; guarded?: boolean }

interface CallInput {
  /** A peer id; whoever offers it, unless told. */
  to?: string
  method: UnaryName
  input: object
  options?: Omit<CallOptions, 'signal'> & { replyTo?: string }
}

/** Events whose data is kept for the test; the rest is counted. */
const MAX_KEPT = 2_500

const hosts = new Map<string, Hosted>()

const hosted = (as: string): Hosted => {
  const host = hosts.get(as)
  if (host === undefined) throw new Error(`no mesh ${as} was started in this process`)
  return host
}

const memberOf = (as: string): StoredGroup => {
  const { member } = hosted(as)
  if (member === undefined) throw new Error(`mesh ${as} is in no group`)
  return member
}

const begin = (host: Hosted, { to, method, input, options = {} }: CallInput): number => {
  const abort = new AbortController()
  const client = to === undefined ? host.mesh.any(probe) : host.mesh.to(to, probe)
  // The tests send what no type would let through, so that the contract itself is what refuses it.
  const call = client[method] as (input: unknown, options: unknown) => Promise<unknown>
  const outcome = call(input, { ...options, signal: abort.signal })
  outcome.catch(() => {})
  host.serial += 1
  host.running.set(host.serial, { outcome, abort })
  return host.serial
}

const plain = ({ topic, data, source }: MeshEvent) => ({ topic, data, source })

export const verbs = {
  ...messageVerbs((as) => hosted(as).mesh),
  ...tallyVerbs((as) => hosted(as).mesh),
  ...taskVerbs((as) => hosted(as).mesh),
  ...budgetVerbs((as) => hosted(as).mesh),
  ...payVerbs((as) => hosted(as).mesh),
  ...resourceVerbs((as) => hosted(as).mesh),
  ...planVerbs((as) => hosted(as).mesh),
  ...coalitionVerbs((as) => hosted(as).mesh),
  ...trustVerbs((as) => hosted(as).mesh),
  start: async (as: string, { counts, guarded, ...options }: StartOptions) => {
    const { list, lines } = createGuards()
    const mesh = await createMesh({
      log: 'error',
      ...options,
      ...(counts === true && { parts: [counter] }),
      ...(guarded === true && { interceptors: list }),
    })
    const replies: ThirdPartyReply[] = []
    mesh.replies.subscribe((reply) => replies.push(reply))
    hosts.set(as, {
      ...createProbe(() => mesh.self.id),
      mesh,
      audited: lines,
      replies,
      runs: {},
      notified: [],
      running: new Map(),
      streams: new Map(),
      subscriptions: new Map(),
      member: undefined,
      serial: 0,
    })
    return { id: mesh.self.id, name: mesh.self.name, addresses: mesh.self.addresses, debugUrl: mesh.debugUrl }
  },
  serve: async (as: string, _: undefined) => {
    const { mesh, handlers } = hosted(as)
    await mesh.serve(probe, handlers)
  },
  serveNewer: async (as: string, _: undefined) => {
    const { mesh, handlers } = hosted(as)
    await mesh.serve(newerProbe, {
      ...handlers,
      echo: ({ text, shout }) => ({ text: shout === true ? text.toUpperCase() : text, length: text.length }),
      reverse: ({ text }) => ({ text: [...text].reverse().join('') }),
    })
  },
  openRelay: async (as: string, _: undefined) => {
    const { mesh } = hosted(as)
    await mesh.serve(
      relay,
      createRelay((peer) => mesh.to(peer, relay)),
    )
    return {}
  },
  /** The old release of the shop, and its commands. */
  openShop: async (as: string, _: undefined) => {
    const host = hosted(as)
    const { handlers, runs } = createShop()
    host.runs = runs
    await host.mesh.serve(oldShop, handlers)
    await registerCommands(host.mesh.commands, runs)
  },
  runs: async (as: string, _: undefined) => hosted(as).runs,
  command: async (as: string, { to, type, parameters }: { to: string; type: string; parameters?: unknown }) =>
    hosted(as).mesh.commands.send(to, type, parameters),
  hearNotifications: async (as: string, _: undefined) => {
    const { mesh, notified } = hosted(as)
    mesh.notifications.on('*', ({ name, data, source, epoch }) => void notified.push({ name, data, source, epoch }))
    await mesh.notifications.ready()
  },
  notify: async (as: string, { name, data }: { name: string; data?: unknown }) => {
    await hosted(as).mesh.notifications.broadcast(name, data)
  },
  notified: async (as: string, _: undefined) => {
    const { mesh, notified } = hosted(as)
    const { acting, epoch, leader } = mesh.coordinator.status()
    return { heard: notified, counts: mesh.notifications.counts(), acting, epoch, leader }
  },
  joined: async (as: string, { withinMs = 10_000 }: { withinMs?: number }) => {
    await hosted(as).mesh.joined({ signal: AbortSignal.timeout(withinMs) })
  },
  facts: async (as: string, _: undefined) => {
    const { mesh } = hosted(as)
    const agents = mesh.directory.agents().map(({ peer, name, state, connected }) => ({ peer, name, state, connected }))
    return { members: mesh.members(), agents, figures: mesh.figures() }
  },
  journal: async (as: string, _: undefined) => hosted(as).journal,
  audited: async (as: string, _: undefined) => hosted(as).audited,
  replies: async (as: string, _: undefined) =>
    hosted(as).replies.map(({ error, ...reply }) => ({ ...reply, code: error?.code })),
  release: async (as: string, { tag }: { tag?: string }) => hosted(as).release(tag),
  call: async (as: string, input: CallInput) => {
    const host = hosted(as)
    const number = begin(host, input)
    const { outcome } = host.running.get(number) ?? {}
    host.running.delete(number)
    return outcome
  },
  begin: async (as: string, input: CallInput) => begin(hosted(as), input),
  abort: async (as: string, { call }: { call: number }) => hosted(as).running.get(call)?.abort.abort(),
  outcome: async (as: string, { call }: { call: number }) => hosted(as).running.get(call)?.outcome,
  openStream: async (as: string, { to, upTo, bytes }: { to: string; upTo: number; bytes: number }) => {
    const host = hosted(as)
    host.serial += 1
    host.streams.set(host.serial, host.mesh.to(to, probe).count({ to: upTo, bytes })[Symbol.asyncIterator]())
    return host.serial
  },
  /** Reads items; the last of them, or undefined where the stream ended before. */
  take: async (as: string, { stream, count }: { stream: number; count: number }) => {
    let last: unknown
    for (let taken = 0; taken < count; taken += 1) last = (await hosted(as).streams.get(stream)?.next())?.value
    return last as { n: number } | undefined
  },
  endStream: async (as: string, { stream }: { stream: number }) => {
    await hosted(as).streams.get(stream)?.return?.()
  },
  /** `stuck`: the listener takes one event and waits until it is let go. */
  subscribe: async (
    as: string,
    {
      pattern,
      stuck = false,
      queueEvents,
      reading = {},
    }: {
      pattern: string
      stuck?: boolean
      queueEvents?: number
      reading?: Pick<SubscribeOptions, 'from' | 'ack' | 'name'>
    },
  ) => {
    const host = hosted(as)
    const gone = Promise.withResolvers<void>()
    const heard: Heard = { events: [], count: 0, missed: 0, dropped: () => 0, go: gone.resolve }
    const listen = (event: MeshEvent): Promise<void> | undefined => {
      heard.count += 1
      if (heard.events.length < MAX_KEPT) heard.events.push(plain(event))
      return stuck ? gone.promise : undefined
    }
    const subscription = await host.mesh.events.subscribe(pattern, listen, {
      onMissed: ({ from, to }) => {
        heard.missed += to - from + 1
      },
      ...(queueEvents === undefined ? {} : { queueEvents }),
      ...reading,
    })
    heard.dropped = () => subscription.dropped()
    host.serial += 1
    host.subscriptions.set(host.serial, heard)
    const { confirmed, unconfirmed } = subscription
    return { subscription: host.serial, confirmed, unconfirmed: [...unconfirmed] }
  },
  heard: async (as: string, { subscription }: { subscription: number }) => {
    const heard = hosted(as).subscriptions.get(subscription)
    if (heard === undefined) throw new Error(`no subscription ${subscription}`)
    return { events: heard.events, count: heard.count, missed: heard.missed, dropped: heard.dropped() }
  },
  letGo: async (as: string, { subscription }: { subscription: number }) =>
    hosted(as).subscriptions.get(subscription)?.go(),
  /** Publishes `{ n, fill }` for n from `from` to `from + count - 1`; the least number of recipients of one of them. */
  publish: async (
    as: string,
    { topic, count = 1, from = 1, bytes = 0 }: { topic: string; count?: number; from?: number; bytes?: number },
  ) => {
    const { events } = hosted(as).mesh
    const fill = 'x'.repeat(bytes)
    const sent = Array.from({ length: count }, (_, i) => events.publish(topic, { n: from + i, fill }))
    return Math.min(...(await Promise.all(sent)).map(({ recipients }) => recipients))
  },
  /** Begins or goes on with a group of words, whose log is in `folder`. */
  group: async (
    as: string,
    { folder, founders, snapshotEvery }: { folder: string; founders?: string[]; snapshotEvery?: number },
  ) => {
    const host = hosted(as)
    const disk = await openFolder(folder)
    const options = snapshotEvery === undefined ? {} : { snapshotEvery }
    host.member = await startStoredGroup(host.mesh.port, disk, founders, options)
  },
  propose: async (as: string, { text }: { text: string }) => memberOf(as).group.propose(word(text)),
  transfer: async (as: string, { to }: { to?: string }) => memberOf(as).group.transfer(to),
  groupFacts: async (as: string, _: undefined) => {
    const { group, words } = memberOf(as)
    return { ...group.status(), counts: group.counts(), words: [...words] }
  },
  /** Status of a page of the node's own debug endpoint. */
  look: async (as: string, { path }: { path: string }) => (await fetch(`${hosted(as).mesh.debugUrl}${path}`)).status,
  memory: async (_as: string, _: undefined) => {
    const { gc } = globalThis
    // Buffers are given back by a thread of its own: what is counted right after a collection is partly garbage.
    for (let round = 0; round < 3; round += 1) {
      await gc?.()
      await setTimeout(20)
    }
    const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
    return { rss, heapUsed, arrayBuffers }
  },
  /** Computes without a pause, so that nothing else of the process runs. */
  block: async (_as: string, { ms }: { ms: number }) => {
    const endsAt = performance.now() + ms
    while (performance.now() < endsAt);
  },
  stop: async (as: string, _: undefined) => {
    await hosted(as).mesh.stop()
  },
} as const

export type Verbs = typeof verbs
export type Verb = keyof Verbs
export type Input<V extends Verb> = Parameters<Verbs[V]>[1]
export type Output<V extends Verb> = Awaited<ReturnType<Verbs[V]>>

/**
 * Counts calls and requests by protocol and method, a user's apart from the mesh's own, and all of them under the names of
 * the seeds (message-metrics.ts).
 *
 * A call is what this node asks of others, a request what others ask of it. State: the meters, one for each method that was
 * called or asked for, at most MAX_METERS; those that come later count as `other`. Labels are looked up once, since this runs
 * for each message. The methods of the mesh's own protocols have metrics of their own and no times: they would take the
 * places that the methods of agents have among the values of a label.
 */
import { type MessageType, messageTypeOf } from '../../../protocols/wire/envelope.ts'
import { createMessageMetrics } from './message-metrics.ts'
import { MAX_SERIES, OTHER_VALUE } from './metric-series.ts'
import type { AddToCounter, NodeMetrics } from './metrics.ts'

export const MAX_METERS = MAX_SERIES

/** Status, and seconds that it took. */
export type Meter = (status: string, seconds: number) => void

export interface CalledMethod {
  readonly protocol: string
  readonly protocolId: string
  readonly codec: { readonly name: string; readonly label: string }
}

export interface CallMetrics {
  /** A call of ours ended. */
  called(target: CalledMethod, status: string, seconds: number, peer: string): void
  /** For requests of one protocol; `method` is undefined where the request was refused before it was known. */
  handled(protocol: string, isOwn: boolean): (method: string | undefined, status: string, seconds: number) => void
}

export interface CallMetricsOptions {
  /** Name of this node's agent. */
  readonly self: string
  readonly peers: {
    all(): readonly { name: string; connections: readonly unknown[] }[]
    get(peer: string): { name: string } | undefined
  }
  /** One of the mesh's own protocols. */
  isOwn(protocolId: string): boolean
  /** `message_latency` by pair of agents too. */
  readonly pairs: boolean
}

type Side = 'call' | 'request'

/** The beats of the membership are known by their protocol. */
const typeOf = (protocol: string, isOwn: boolean): MessageType =>
  isOwn && protocol === 'presence' ? 'HEARTBEAT' : messageTypeOf(protocol)

/** Statuses are error codes and a few words: a closed set. The one that came last is not looked up again. */
const cached = <T>(make: (status: string) => T): ((status: string) => T) => {
  const known = new Map<string, T>()
  let last: { readonly status: string; readonly value: T } | undefined
  return (status) => {
    if (last?.status === status) return last.value
    let found = known.get(status)
    if (found === undefined) {
      found = make(status)
      known.set(status, found)
    }
    last = { status, value: found }
    return found
  }
}

const NAMES = ['protocol', 'method']

const countersOf = (metrics: NodeMetrics, side: Side) => {
  const what = side === 'call' ? 'Calls of this node' : 'Requests to this node'
  const labels = [...NAMES, 'status']
  return {
    user: metrics.counter(`${side}s_total`, `${what}, by protocol, method and status`, labels),
    mesh: metrics.counter(`mesh_${side}s_total`, `${what} that the mesh itself makes`, labels),
    times: metrics.histogram(`${side}_seconds`, `Time that they took, by protocol and method`, NAMES),
  }
}

export const createCallMetrics = (metrics: NodeMetrics, options: CallMetricsOptions): CallMetrics => {
  const { peers, pairs } = options
  const seeds = createMessageMetrics(metrics.asNamed, {
    connections: () => peers.all().map(({ name, connections }): [string, number] => [name, connections.length]),
    pairLatency: pairs,
  })
  const counters = { call: countersOf(metrics, 'call'), request: countersOf(metrics, 'request') }
  const meters = { call: new Map<string, Meter>(), request: new Map<string, Meter>() }

  const makeMeter = (side: Side, protocol: string, method: string, isOwn: boolean): Meter => {
    const { user, mesh, times } = counters[side]
    const labels = { protocol, method }
    const type = typeOf(protocol, isOwn)
    const direction = side === 'call' ? 'outbound' : 'inbound'
    const adds = cached((status): [AddToCounter, AddToCounter] => [
      seeds.messages(direction, type, status),
      (isOwn ? mesh : user).with({ ...labels, status }),
    ])
    const observeAll = seeds.latency(side === 'call' ? 'call' : 'handle', type)
    const observe = isOwn ? undefined : times.with(labels)
    return (status, seconds) => {
      const [addAll, add] = adds(status)
      addAll()
      add()
      observeAll(seconds)
      observe?.(seconds)
    }
  }

  /** @param key of the meter: one object for each method, so that it is hashed once */
  const meterOf = (side: Side, key: string, protocol: string, method: string, isOwn: boolean): Meter => {
    const known = meters[side].get(key)
    if (known !== undefined) return known
    if (meters[side].size >= MAX_METERS && method !== OTHER_VALUE)
      return meterOf(side, isOwn ? 'mesh' : 'user', OTHER_VALUE, OTHER_VALUE, isOwn)
    const meter = makeMeter(side, protocol, method, isOwn)
    meters[side].set(key, meter)
    return meter
  }

  return {
    called({ codec, protocol, protocolId }, status, seconds, peer) {
      const meter = meters.call.get(codec.label)
      if (meter !== undefined) meter(status, seconds)
      else meterOf('call', codec.label, protocol, codec.name, options.isOwn(protocolId))(status, seconds)
      if (pairs && !options.isOwn(protocolId))
        seeds.pairLatency(options.self, peers.get(peer)?.name ?? OTHER_VALUE, seconds)
    },
    handled(protocol, isOwn) {
      const ofMethod = new Map<string, Meter>()
      return (method = OTHER_VALUE, status, seconds) => {
        let meter = ofMethod.get(method)
        if (meter === undefined) {
          meter = meterOf('request', `${protocol}.${method}`, protocol, method, isOwn)
          ofMethod.set(method, meter)
        }
        meter(status, seconds)
      }
    },
  }
}

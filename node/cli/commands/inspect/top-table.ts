/** What `parley top` shows: one screen of text out of two looks at a node. Pure. */
import type { TopView } from '../../../control/control-schemas.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'

export interface TopRates {
  readonly framesIn: number
  readonly framesOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Events a second by topic: published by the node, and received there. */
  readonly topics: Readonly<Record<string, { readonly published: number; readonly received: number }>>
}

/** A second, between two looks; undefined where the node was started anew in between. */
export const ratesOf = (before: TopView, now: TopView): TopRates | undefined => {
  const seconds = (now.monotonicMs - before.monotonicMs) / 1000
  if (before.self.startedAt !== now.self.startedAt || seconds <= 0) return undefined
  const rate = (from: number, to: number): number => Math.round(Math.max(0, (to - from) / seconds) * 10) / 10
  const earlier = new Map(before.topics.map((topic) => [topic.name, topic]))
  return {
    framesIn: rate(before.frames.in, now.frames.in),
    framesOut: rate(before.frames.out, now.frames.out),
    bytesIn: rate(before.frames.bytesIn, now.frames.bytesIn),
    bytesOut: rate(before.frames.bytesOut, now.frames.bytesOut),
    topics: Object.fromEntries(
      now.topics.map((topic) => {
        const from = earlier.get(topic.name) ?? topic
        const rates = {
          published: rate(from.published, topic.published),
          received: rate(from.received, topic.received),
        }
        return [topic.name, rates]
      }),
    ),
  }
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export const bytesText = (bytes: number): string => {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`
}

const COLUMN_CHARS = 40

/** Columns as wide as their widest cell. */
const columns = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => {
  const safe = rows.map((row) => row.map((cell) => escapeText(cell).slice(0, COLUMN_CHARS)))
  const widths = head.map((name, at) => Math.max(name.length, ...safe.map((row) => row[at]?.length ?? 0)))
  return [head, ...safe].map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

const offersText = ({ protocols }: TopView['agents'][number]): string =>
  protocols.map(({ name, version }) => `${name}@${version.split('.')[0]}`).join(' ')

const stateText = ({ state, activity }: TopView['agents'][number]): string => {
  if (state === 'suspect' || activity === undefined) return state
  return activity.progress === undefined ? activity.state : `${activity.state} ${Math.round(activity.progress * 100)} %`
}

const meshRows = ({ self, agents, peers, coordinator }: TopView): string[][] => {
  const peerOf = new Map(peers.map((peer) => [peer.id, peer]))
  const rows = agents.map((agent) => {
    const peer = peerOf.get(agent.id)
    const mark = agent.id === coordinator.id ? '*' : ''
    return [
      `${agent.name}${mark}`,
      stateText(agent),
      agent.load === undefined ? '' : String(agent.load),
      agent.queueLength === undefined ? '' : String(agent.queueLength),
      peer?.rttMs === undefined ? '' : `${peer.rttMs.toFixed(1)} ms`,
      peer === undefined ? '' : String(peer.inFlight),
      agent.id === self.id ? 'this node' : (peer?.address.replace(/\/p2p\/.*$/, '') ?? 'not connected'),
      offersText(agent),
    ]
  })
  const known = new Set(agents.map(({ id }) => id))
  const others = peers
    .filter(({ id }) => !known.has(id))
    .map((peer) => [
      peer.name || peer.id.slice(-8),
      peer.admitted ? '' : 'not admitted',
      '',
      '',
      '',
      '',
      peer.address,
      '',
    ])
  return [...rows, ...others]
}

const perSecond = (rate: number | undefined): string => (rate === undefined ? '-' : `${rate}/s`)

/**
 * @param rates undefined at the first look
 * @param size of the terminal
 */
export const topText = (
  view: TopView,
  rates: TopRates | undefined,
  size: { columns: number; rows: number },
): string => {
  const { self, agents, peers, coordinator, requests, delivery, readiness } = view
  const admitted = peers.filter((peer) => peer.admitted).length
  const leader = coordinator.name ?? coordinator.id?.slice(-8)
  const state = readiness.ready ? (readiness.degraded?.[0] ?? 'ready') : `not ready: ${readiness.reasons[0] ?? ''}`
  const flow = (frames: number | undefined, bytes: number | undefined): string =>
    bytes === undefined ? '-' : `${perSecond(frames)}, ${bytesText(bytes)}/s`
  const head = [
    `${self.name} in the mesh ${self.mesh}, ${state}    ${new Date(view.at).toISOString().slice(11, 19)}Z`,
    `agents ${agents.length}   peers ${admitted}   coordinator ${leader ?? 'none'}, epoch ${coordinator.epoch}, voters ${coordinator.voters}${coordinator.quorum ? '' : ', no quorum'}`,
    `frames in ${flow(rates?.framesIn, rates?.bytesIn)}   out ${flow(rates?.framesOut, rates?.bytesOut)}   requests ${requests.active} at work, ${requests.queued} waiting`,
    `outbox ${delivery.outbox}   held ${delivery.held}   inbox ${delivery.inbox}   dead letters ${delivery.deadLetters}`,
    '',
  ].map(escapeText)
  const mesh = columns(['AGENT', 'STATE', 'LOAD', 'QUEUE', 'RTT', 'IN FLIGHT', 'ADDRESS', 'OFFERS'], meshRows(view))
  const topics = columns(
    ['TOPIC', 'OUT', 'IN', 'PUBLISHED', 'HEARD', 'LISTENERS', 'NEIGHBOURS'],
    view.topics.map(({ name, published, received, local, peers }) => [
      name,
      perSecond(rates?.topics[name]?.published),
      perSecond(rates?.topics[name]?.received),
      String(published),
      String(received),
      String(local),
      String(peers.length),
    ]),
  )
  // Half of the screen is for topics at most, and agents get what those leave.
  const room = Math.max(4, size.rows - head.length - 2)
  const forTopics = Math.min(topics.length, Math.max(Math.floor(room / 2), room - mesh.length))
  const fit = (lines: readonly string[], most: number): string[] =>
    lines.length <= most ? [...lines] : [...lines.slice(0, most - 1), `… ${lines.length - most + 1} more`]
  const lines = [
    ...head,
    ...fit(mesh, room - forTopics),
    ...(view.topics.length === 0 ? [] : ['', ...fit(topics, forTopics)]),
  ]
  return lines.map((line) => line.slice(0, size.columns)).join('\n')
}

/**
 * What keeps the page live: polls of the endpoint, faster after something happened, and its event stream. When the
 * endpoint is gone they go on trying, so that the page comes back by itself. Nothing is asked while the page is hidden.
 */
import { batch } from '@preact/signals'
import type { CoordinatorView, DebugEvent, Overview } from '../../../debug/debug-schemas.ts'
import { NO_CALLS, readCalls } from '../data/call-rows.ts'
import { append, MAX_POINTS, type MetricsReading, pointOf, readMetrics } from '../data/metric-points.ts'
import * as store from '../state/page-state.ts'
import { createPoll, type Poll, type PollEnvironment } from './poll.ts'

const POLL_MS = 2_000
const COORDINATOR_MS = 3_000
const LIMIT_MS = 6_000
const FRAME_MS = 100

const CHANGES = ['peer-joined', 'peer-left', 'agent-joined', 'agent-changed', 'agent-left', 'dead-letter']
const NAMES = [...CHANGES, 'event-published', 'event-received', 'stranger-refused', 'dropped', 'unreadable']

const listeners = new Set<(event: DebugEvent) => void>()
/** Sees each event when it arrives, paused or not. */
export const onDebugEvent = (fn: (event: DebugEvent) => void): (() => void) => {
  listeners.add(fn)
  return () => void listeners.delete(fn)
}

const get = async (path: string): Promise<Response> => {
  const response = await fetch(path, { signal: AbortSignal.timeout(LIMIT_MS) })
  if (!response.ok) throw new Error(`${path} answered ${response.status}`)
  return response
}

const SURROUNDINGS: PollEnvironment = {
  now: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms)
    return () => clearTimeout(timer)
  },
  isHidden: () => document.hidden,
  onSeen(fn) {
    document.addEventListener('visibilitychange', fn)
    return () => document.removeEventListener('visibilitychange', fn)
  },
}

/** Asks at once, and again while the page is seen, until it is stopped. */
export const startPoll = (periodMs: number, ask: () => Promise<void>): Poll => createPoll(SURROUNDINGS, periodMs, ask)

const keepRtts = (peers: Overview['peers']): void => {
  const kept = new Map<string, readonly number[]>()
  for (const { id, rttMs } of peers) {
    const before = store.rtts.value.get(id) ?? []
    kept.set(id, rttMs === undefined ? before : append(before, rttMs, store.MAX_RTTS))
  }
  store.rtts.value = kept
}

/** Another run of the node, or another node at this address: what was counted before does not go on. */
const startAnew = (before: Overview | undefined, now: Overview): void => {
  if (before === undefined || (before.self.id === now.self.id && before.self.startedAt === now.self.startedAt)) return
  store.points.value = []
  store.calls.value = NO_CALLS
  store.rtts.value = new Map()
  store.key.value = ''
}

const askOverview = async (): Promise<void> => {
  try {
    const response = await get('api/overview')
    // The endpoint that served this page has written it by the same schema.
    const overview = (await response.json()) as Overview
    const came = store.endpointState.value === 'lost'
    batch(() => {
      startAnew(store.overview.value, overview)
      store.overview.value = overview
      store.answeredAt.value = Date.now()
      store.skewMs.value = overview.at - Date.now()
      store.endpointState.value = 'live'
      if (came) store.announcement.value = 'The node answers again.'
      keepRtts(overview.peers)
    })
  } catch {
    if (store.endpointState.value !== 'lost') store.announcement.value = 'The node does not answer.'
    store.endpointState.value = 'lost'
  }
}

const askCoordinator = async (): Promise<void> => {
  try {
    store.coordinator.value = (await (await get('api/coordinator')).json()) as CoordinatorView
  } catch {
    // The other poll says that the endpoint is gone.
  }
}

let lastSample: MetricsReading | undefined
const askFigures = async (): Promise<void> => {
  try {
    const text = await (await get('metrics')).text()
    const sample = readMetrics(text, Date.now())
    store.calls.value = readCalls(text, sample.atMs, store.calls.value)
    const point = lastSample === undefined ? undefined : pointOf(lastSample, sample)
    lastSample = sample
    if (point !== undefined) store.points.value = append(store.points.value, point, MAX_POINTS)
  } catch {
    lastSample = undefined
  }
}

/** Events are shown a few times a second, however many come. */
const follow = (changed: () => void): void => {
  let source: EventSource | undefined
  let number = 0
  let fresh: store.EventRow[] = []
  let isWaiting = false

  const show = (): void => {
    isWaiting = false
    const rows = fresh.slice(-store.MAX_EVENTS)
    fresh = []
    if (store.paused.value) {
      store.unseen.value += rows.length
      return
    }
    store.events.value = [...store.events.value, ...rows].slice(-store.MAX_EVENTS)
  }
  const heard = (name: string, text: string): void => {
    let event: store.EventRow['event']
    try {
      const data = JSON.parse(text) as Record<string, unknown>
      if (name === 'dropped') event = { type: 'dropped', at: Date.now(), count: (data.count ?? null) as number | null }
      else if ('tooLarge' in data || name === 'unreadable') return
      else event = data as unknown as DebugEvent
    } catch {
      return
    }
    number += 1
    fresh.push({ number, event })
    if (fresh.length > store.MAX_EVENTS) fresh.shift()
    if (!isWaiting) setTimeout(show, FRAME_MS)
    isWaiting = true
    if (event.type !== 'dropped') for (const fn of listeners) fn(event)
    if (CHANGES.includes(name)) changed()
  }
  const open = (): void => {
    source?.close()
    source = new EventSource('api/events')
    for (const name of NAMES) source.addEventListener(name, ({ data }: MessageEvent<string>) => heard(name, data))
  }
  open()
  setInterval(() => {
    // It connects again by itself, unless it was refused.
    if (source?.readyState === EventSource.CLOSED && store.endpointState.value === 'live' && !document.hidden) open()
  }, POLL_MS)
}

export const startLive = (): void => {
  const overview = startPoll(POLL_MS, askOverview)
  const leader = startPoll(COORDINATOR_MS, askCoordinator)
  startPoll(POLL_MS, askFigures)
  follow(() => {
    overview.soon()
    leader.soon()
  })
  setInterval(() => {
    if (!document.hidden) store.nowMs.value = Date.now()
  }, 1_000)
}

/**
 * The directories of a simulated mesh: the real tables and their real rules of comparison (discovery/directory/tables/directory-state.ts),
 * with the exchange of discovery/directory/exchange/directory-sync.ts over the simulated network. Signatures are not looked at, gossip is a
 * flood over a few neighbours of each, records and the sums of equal tables are shared to save memory and time.
 *
 * State: the tables of each node, who has heard which gossip.
 */
import { equals } from 'uint8arrays/equals'
import { createDigestCodec } from '../../../discovery/directory/exchange/digest-codec.ts'
import { type AgentRecord, encodeRecord, type SignedRecord } from '../../../discovery/directory/record/agent-record.ts'
import type { Change } from '../../../discovery/directory/tables/agent-change.ts'
import type { Digest } from '../../../discovery/directory/tables/digest.ts'
import { DirectoryState } from '../../../discovery/directory/tables/directory-state.ts'
import type { Network } from './network.ts'
import type { SimNode } from './node.ts'
import type { Queue } from './queue.ts'

const SYNC_PERIOD_MS = 1_000
const TTL_MS = 30_000
const LIMITS = { maxAgents: 4_096, maxEnded: 1_024 }
/** What one message of records takes: 256 KiB of records with a few schemas each. */
const MAX_BATCH = 128
/** Neighbours that gossip goes to. */
const FAN_OUT = 6
const ALL_PUBLISHED = 24
/** A record as it is when an agent serves two small protocols. */
const DESCRIPTION = 'x'.repeat(600)

interface View {
  readonly tables: DirectoryState
  record: AgentRecord
  seenRevision: number
  ticks: number
  summed: { readonly revision: number; readonly sum: Uint8Array } | undefined
  readonly gossip: Set<string>
}

export interface Directories {
  tables(id: string): DirectoryState
  /** A node starts, with these in its tables. */
  start(id: string, incarnation: number, known: readonly string[]): void
  stop(id: string): void
  /** `compares`: both compare at once, as new neighbours do. */
  connected(id: string, peer: string, compares: boolean): void
  disconnected(id: string, peer: string): void
  /** Writes the own record anew and tells everyone. */
  announce(id: string): void
}

export interface DirectoriesDeps {
  readonly queue: Queue
  readonly network: Network
  readonly random: () => number
  node(id: string): SimNode | undefined
  changed(id: string, changes: readonly Change[]): void
}

const hash = (bytes: Uint8Array): Uint8Array => {
  const out = new Uint8Array(8)
  let h = 0x811c9dc5
  for (let i = 0; i < 8; i += 1) {
    for (const byte of bytes) h = Math.imul(h ^ (byte + i), 0x01000193) >>> 0
    out[i] = h >>> 24
  }
  return out
}

/** What is sent is what was so at that moment. */
const kept = (digest: Digest): Digest => {
  const peers: string[] = []
  const numbers: number[] = []
  digest((peer, incarnation, version, ageMs) => {
    peers.push(peer)
    numbers.push(incarnation, version, ageMs)
  })
  return (visit) => {
    for (let n = 0; n < peers.length; n += 1)
      visit(peers[n] ?? '', numbers[3 * n] ?? 0, numbers[3 * n + 1] ?? 0, numbers[3 * n + 2] ?? 0)
  }
}

export const createDirectories = (deps: DirectoriesDeps): Directories => {
  const { queue, network, random } = deps
  const views = new Map<string, View>()
  const packed = createDigestCodec({ hash })
  /** The latest of each writer, with its bytes. */
  const written = new Map<string, { record: AgentRecord; signed: SignedRecord }>()
  const fromBytes = new Map<Uint8Array, AgentRecord>()

  const write = (id: string, incarnation: number): { record: AgentRecord; signed: SignedRecord } => {
    const version = (written.get(id)?.record.version ?? 0) + 1
    const record: AgentRecord = {
      peerId: id,
      name: id,
      mesh: 'sim',
      incarnation,
      version,
      protocols: [{ name: 'work', version: '1.0.0', description: DESCRIPTION, methods: [] }],
      labels: {},
      addresses: [`/ip4/10.0.0.1/tcp/${4_000 + version}`],
      ttlMs: TTL_MS,
    }
    const made = { record, signed: { bytes: encodeRecord(record), signature: new Uint8Array(64) } }
    written.set(id, made)
    fromBytes.set(made.signed.bytes, record)
    return made
  }

  const emit = (id: string, changes: readonly Change[]): void => {
    if (changes.length > 0) deps.changed(id, changes)
  }
  const take = (id: string, items: readonly (SignedRecord & { ageMs: number })[], revives = true): number => {
    const view = views.get(id)
    let accepted = 0
    for (const item of items) {
      const record = fromBytes.get(item.bytes)
      if (view === undefined || record === undefined) continue
      const { outcome, changes } = view.tables.apply(record, item, item.ageMs, queue.now(), revives)
      if (outcome === 'accepted') accepted += 1
      emit(id, changes)
    }
    return accepted
  }

  const sumOf = (view: View): Uint8Array => {
    const revision = view.tables.revision()
    if (view.summed?.revision !== revision)
      view.summed = { revision, sum: packed.checksum(view.tables.digest(queue.now())) }
    return view.summed.sum
  }

  const send = (kind: string, from: string, to: string, arrive: (view: View) => void): void =>
    network.send(kind, from, to, () =>
      deps.node(to)?.run(() => {
        const view = views.get(to)
        if (view !== undefined) arrive(view)
      }),
    )

  /** One round over the whole digests: see discovery/directory/exchange/directory-sync.ts. */
  const whole = (id: string, peer: string, isFirst: boolean): void => {
    const view = views.get(id)
    if (view === undefined) return
    const askedAt = queue.now()
    const { tables } = view
    const asked = {
      digest: kept(tables.digest(askedAt)),
      ended: kept(tables.endedDigest(askedAt)),
      room: tables.room(),
    }
    send('compare', id, peer, (theirs) => {
      emit(peer, theirs.tables.doubt(asked.ended, queue.now()))
      const { records, wants, fresher, changes } = theirs.tables.compare(asked, queue.now())
      emit(peer, changes)
      const batch = records.slice(0, MAX_BATCH)
      send('compare', peer, id, () => {
        const now = queue.now()
        for (const [agent, ageMs] of fresher) emit(id, tables.hear(agent, ageMs + (now - askedAt), now))
        const accepted = take(id, batch)
        if (isFirst && wants.length > 0) {
          const given = tables.give(wants, now)
          for (let at = 0; at < given.length; at += MAX_BATCH)
            send('push', id, peer, () => void take(peer, given.slice(at, at + MAX_BATCH)))
        }
        if (records.length > batch.length && accepted > 0) whole(id, peer, false)
      })
    })
  }

  const compare = (id: string, peer: string): void => {
    const view = views.get(id)
    if (view === undefined) return
    const now = queue.now()
    emit(id, view.tables.expire(now))
    const sum = sumOf(view)
    const aging = kept(view.tables.aging(now))
    const ended = kept(view.tables.endedDigest(now))
    send('compare', id, peer, (theirs) => {
      emit(peer, theirs.tables.doubt(ended, queue.now()))
      const differs = !equals(sum, sumOf(theirs))
      const fresher = theirs.tables.fresher(aging, queue.now())
      send('compare', peer, id, () => {
        const then = queue.now()
        for (const [agent, ageMs] of fresher) emit(id, view.tables.hear(agent, ageMs + (then - now), then))
        if (differs) whole(id, peer, true)
      })
    })
  }

  const someOf = (id: string, count: number): string[] => {
    const all = [...network.neighbours(id)]
    for (let i = 0; i < Math.min(count, all.length); i += 1) {
      const j = i + Math.floor(random() * (all.length - i))
      const [one, other] = [all[i], all[j]]
      if (one === undefined || other === undefined) break
      all[i] = other
      all[j] = one
    }
    return all.slice(0, count)
  }

  const flood = (id: string, signed: SignedRecord, key: string, except?: string): void => {
    for (const peer of someOf(id, FAN_OUT)) {
      if (peer === except) continue
      send('gossip', id, peer, (view) => {
        if (view.gossip.has(key)) return
        view.gossip.add(key)
        take(peer, [{ ...signed, ageMs: 0 }], false)
        flood(peer, signed, key, id)
      })
    }
  }

  const tick = (id: string): void => {
    const view = views.get(id)
    if (view === undefined) return
    queue.after(SYNC_PERIOD_MS * (0.8 + 0.4 * random()), () => deps.node(id)?.run(() => tick(id)))
    emit(id, view.tables.expire(queue.now()))
    const revision = view.tables.revision()
    const isSame = revision === view.seenRevision
    view.seenRevision = revision
    view.ticks += 1
    if (isSame && view.tables.count() > ALL_PUBLISHED && view.ticks % 2 === 0) return
    const [peer] = someOf(id, 1)
    if (peer !== undefined) compare(id, peer)
  }

  return {
    tables(id) {
      const view = views.get(id)
      if (view === undefined) throw new Error(`${id} has no tables`)
      return view.tables
    },
    start(id, incarnation, known) {
      const tables = new DirectoryState(id, LIMITS)
      const { record, signed } = written.get(id) ?? write(id, incarnation)
      tables.setOwn(record, signed)
      for (const other of known) {
        if (other === id) continue
        const theirs = written.get(other) ?? write(other, incarnation)
        tables.apply(theirs.record, theirs.signed, 0, queue.now())
      }
      const view: View = { tables, record, seenRevision: -1, ticks: 0, summed: undefined, gossip: new Set() }
      views.set(id, view)
      queue.after(SYNC_PERIOD_MS * random(), () => deps.node(id)?.run(() => tick(id)))
    },
    stop: (id) => void views.delete(id),
    connected(id, peer, compares) {
      const view = views.get(id)
      if (view === undefined) return
      emit(id, view.tables.markConnected(peer))
      if (compares) compare(id, peer)
    },
    disconnected(id, peer) {
      const view = views.get(id)
      if (view !== undefined) emit(id, view.tables.markDisconnected(peer, queue.now()))
    },
    announce(id) {
      const view = views.get(id)
      if (view === undefined) return
      const { record, signed } = write(id, view.record.incarnation)
      view.record = record
      emit(id, view.tables.setOwn(record, signed))
      for (const peer of network.neighbours(id))
        send('push', id, peer, () => void take(peer, [{ ...signed, ageMs: 0 }]))
      const key = `${id} ${record.version}`
      view.gossip.add(key)
      flood(id, signed, key)
    },
  }
}

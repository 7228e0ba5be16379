/**
 * What the members of a journal have agreed on: records by key, each with the index of the entry that wrote it last.
 *
 * State: the records, how much room they take (bounded), and the last changes (bounded), from which watchers catch up.
 * The changes are no part of what is agreed on: a member that restored a snapshot has none before it.
 */
import { ParleyError } from '../../errors.ts'
import type { Fence } from '../fencing/fence.ts'
import { createPartRecords, type PartRecords } from '../part-records.ts'
import type { JournalTx, Json } from './command-kind.ts'
import { freezeJson, isJson, MAX_JSON_DEPTH } from './json-value.ts'
import { createRecordShares, RECORD_BYTES } from './record-shares.ts'

/** The limits are the same on every member: they belong to feature level 1. Lengths are those of JSON text. */
export const MAX_KEY = 256
export const MAX_VALUE_BYTES = 262_144
/** Of all keys and values together. */
export const MAX_RECORDS_BYTES = 64 * 1024 * 1024
/** More, for what the mesh keeps of itself: a full journal must not stop its coordinator. */
export const MESH_BYTES = 1024 * 1024
/** Keys of the mesh itself; programs may read them. */
export const MESH_PREFIX = '$'
/** What one command may change, so that it can be told in one message. */
export const MAX_ENTRY_BYTES = 1024 * 1024
/** About what a change takes beside its key and value. */
export const CHANGE_BYTES = 128
export const MAX_CHANGES = 8_192
export const MAX_CHANGES_BYTES = 16 * 1024 * 1024
/** In the place of a part's name: a command of none, in a journal that has parts. */
export const NO_PART = ''
const KEY = /^[\x21-\x7e]+$/

export interface JournalRecord {
  readonly key: string
  /** Index of the entry that wrote it. */
  readonly version: number
  readonly term: number
  /** Length of key and value as text. */
  readonly size: number
  readonly value: Json
  /** Peer id of who wrote it; undefined before feature level 2, and for records of the mesh itself. */
  readonly by?: string
}

export interface RecordChange {
  readonly key: string
  readonly fence: Fence
  /** Milliseconds since 1970. */
  readonly at: number
  /** Undefined: it was deleted. */
  readonly value: Json | undefined
  /** About what it takes to keep or tell it. */
  readonly size: number
}

export interface JournalRecords {
  /**
   * Runs a command's changes: all of them, or none where it throws.
   * @param by who answers for what it writes; undefined: nobody
   * @param part whose command it is: it writes its own keys, and no other command does; `NO_PART`: of none, where there are parts
   * @returns what it returned
   */
  transact<T>(fence: Fence, at: number, run: (tx: JournalTx) => T, by?: string, part?: string): T
  readonly parts: Pick<PartRecords, 'agreed' | 'levels' | 'held'>
  /** What the records of this peer take, with RECORD_BYTES for each. */
  bytesOf(peer: string): number
  get(key: string): JournalRecord | undefined
  /** Sorted by key. */
  list(prefix: string, after: string, most: number, mostBytes: number): JournalRecord[]
  /**
   * Changes after `version`, oldest first, whole entries, and at least one; undefined where not all of them are here any
   * more.
   */
  since(version: number, most: number, mostBytes: number): RecordChange[] | undefined
  all(): JournalRecord[]
  /** Takes the place of everything; what is newer than `version` comes from here on. */
  restore(records: readonly JournalRecord[], version: number): void
  bytes(): number
  count(): number
}

const problem = (message: string, hint: string): ParleyError => new ParleyError('MSG001', message, { hint })

const checkKey = (key: string): void => {
  if (key.length <= MAX_KEY && KEY.test(key)) return
  throw problem(
    `the key ${JSON.stringify(key.slice(0, 80))} is not usable`,
    `use 1 to ${MAX_KEY} printable ASCII characters without blanks`,
  )
}

/** Of a change, by the length of key and value, which is 0 where it was deleted. */
const costOf = (key: string, size: number): number => CHANGE_BYTES + (size === 0 ? key.length : size)

export const createJournalRecords = (maxBytes: number = MAX_RECORDS_BYTES): JournalRecords => {
  let records = new Map<string, JournalRecord>()
  /** Keys in order, made when somebody asks for the first time. */
  let sorted: string[] | undefined
  let bytes = 0
  let changes: RecordChange[] = []
  let changeBytes = 0
  const shares = createRecordShares()
  const parts = createPartRecords()
  /** Changes up to this version are not here. */
  let floor = 0

  const own = (record: JournalRecord | undefined, sign: 1 | -1): void => {
    if (record?.key.startsWith(MESH_PREFIX) === true) parts.count(record, sign)
    if (record?.by !== undefined) shares.add(record.by, sign * (record.size + RECORD_BYTES))
  }
  const set = (record: JournalRecord): void => {
    const before = records.get(record.key)
    if (before === undefined) sorted?.splice(placeOf(sorted, record.key), 0, record.key)
    bytes += record.size - (before?.size ?? 0)
    records.set(record.key, record)
    // As most are: written again by the same peer.
    if (before !== undefined && record.by !== undefined && before.by === record.by)
      shares.add(record.by, record.size - before.size)
    else {
      own(before, -1)
      own(record, 1)
    }
  }
  const remove = (key: string): void => {
    const before = records.get(key)
    if (before === undefined) return
    sorted?.splice(placeOf(sorted, key), 1)
    bytes -= before.size
    records.delete(key)
    own(before, -1)
  }
  const remember = (change: RecordChange): void => {
    changes.push(change)
    changeBytes += change.size
    if (changes.length <= MAX_CHANGES && changeBytes <= MAX_CHANGES_BYTES) return
    // A half at a time, so that it costs little; an entry's changes stay together.
    const half = changes.length >> 1
    floor = changes[half]?.fence.index ?? floor
    const kept = changes.filter(({ fence }) => fence.index > floor)
    changes = kept
    changeBytes = kept.reduce((sum, { size }) => sum + size, 0)
  }
  const keysInOrder = (): string[] => {
    sorted ??= [...records.keys()].sort()
    return sorted
  }
  /** Place of the first key at or after this one. */
  const placeOf = (keys: readonly string[], key: string): number => {
    let [low, high] = [0, keys.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((keys[middle] ?? '') < key) low = middle + 1
      else high = middle
    }
    return low
  }

  return {
    transact(fence, at, run, by, part) {
      const changed = new Map<string, { value: Json | undefined; size: number }>()
      let grown = 0
      /** Of what `by` answers for. */
      let ownGrown = 0
      /** Of what the part answers for. */
      let partGrown = 0
      /** Of all that changes. */
      let told = 0
      /** What `by` answers for under this key. */
      const ownSizeOf = (key: string): number => {
        if (by === undefined || key.startsWith(MESH_PREFIX)) return 0
        const size = changed.get(key)?.size ?? (records.get(key)?.by === by ? records.get(key)?.size : 0) ?? 0
        return size === 0 ? 0 : size + RECORD_BYTES
      }
      const sizeOf = (key: string): number => changed.get(key)?.size ?? records.get(key)?.size ?? 0
      const change = (key: string, to: { value: Json | undefined; size: number }): void => {
        const before = changed.get(key)
        const cost = costOf(key, to.size) - (before === undefined ? 0 : costOf(key, before.size))
        if (cost > 0 && told + cost > MAX_ENTRY_BYTES)
          throw problem(
            `one command cannot change as much: above ${MAX_ENTRY_BYTES} bytes`,
            'decide it in several commands',
          )
        told += cost
        changed.set(key, to)
      }
      const tx: JournalTx = {
        get: (key) => (changed.has(key) ? changed.get(key)?.value : records.get(key)?.value),
        version(key) {
          const mine = changed.get(key)
          if (mine !== undefined) return mine.value === undefined ? 0 : fence.index
          return records.get(key)?.version ?? 0
        },
        put(key, value) {
          checkKey(key)
          if (part !== undefined) parts.checkKey(part === NO_PART ? undefined : part, key)
          if (!isJson(value))
            throw problem(`the value of ${key} is not usable`, `use JSON, at most ${MAX_JSON_DEPTH} levels deep`)
          const sealed = freezeJson(value)
          const size = key.length + JSON.stringify(sealed).length
          if (size > MAX_VALUE_BYTES)
            throw problem(
              `the value of ${key} has ${size} bytes`,
              `keep it below ${MAX_VALUE_BYTES}; put large data elsewhere`,
            )
          const growth = size - sizeOf(key)
          const isOfPart = part !== undefined && part !== NO_PART
          const room = key.startsWith(MESH_PREFIX) && !isOfPart ? maxBytes + MESH_BYTES : maxBytes
          if (growth > 0 && bytes + grown + growth > room)
            throw new ParleyError('COM003', 'the journal has no room left', {
              hint: 'delete records that are not needed any more',
              details: { reason: 'journal-full', maxBytes },
            })
          const ownGrowth = by === undefined || key.startsWith(MESH_PREFIX) ? 0 : size + RECORD_BYTES - ownSizeOf(key)
          if (by !== undefined) shares.check(by, ownGrown + ownGrowth, bytes + records.size * RECORD_BYTES, maxBytes)
          const partGrowth = growth + (sizeOf(key) === 0 ? RECORD_BYTES : 0)
          if (isOfPart) parts.checkRoom(part, partGrown + partGrowth)
          change(key, { value: sealed, size })
          partGrown += partGrowth
          grown += growth
          ownGrown += ownGrowth
        },
        delete(key) {
          if (part !== undefined) parts.checkKey(part === NO_PART ? undefined : part, key)
          const size = sizeOf(key)
          if (size > 0) partGrown -= size + RECORD_BYTES
          ownGrown -= ownSizeOf(key)
          if (records.has(key)) change(key, { value: undefined, size: 0 })
          else if (changed.has(key)) {
            told -= costOf(key, size)
            changed.delete(key)
          }
          grown -= size
        },
        keys(prefix) {
          const keys = keysInOrder()
          const found: string[] = []
          for (let at = placeOf(keys, prefix); keys[at]?.startsWith(prefix) === true; at += 1) {
            const key = keys[at]
            if (key !== undefined && (!changed.has(key) || changed.get(key)?.value !== undefined)) found.push(key)
          }
          const added = [...changed].filter(
            ([key, { value }]) => value !== undefined && !records.has(key) && key.startsWith(prefix),
          )
          return added.length === 0 ? found : [...found, ...added.map(([key]) => key)].sort()
        },
      }
      const result = run(tx)
      for (const [key, { value, size }] of changed) {
        if (value === undefined) remove(key)
        else {
          const whose = by === undefined || key.startsWith(MESH_PREFIX) ? {} : { by }
          set({ key, version: fence.index, term: fence.term, size, value, ...whose })
        }
        remember({ key, fence, at, value, size: costOf(key, size) })
      }
      return result
    },
    get: (key) => records.get(key),
    list(prefix, after, most, mostBytes) {
      const keys = keysInOrder()
      const found: JournalRecord[] = []
      let size = 0
      for (let at = placeOf(keys, after > prefix ? after : prefix); found.length < most; at += 1) {
        const record = records.get(keys[at] ?? '')
        if (record === undefined || !record.key.startsWith(prefix)) break
        if (record.key <= after) continue
        size += record.size
        if (found.length > 0 && size > mostBytes) break
        found.push(record)
      }
      return found
    },
    since(version, most, mostBytes) {
      if (version < floor) return undefined
      let [low, high] = [0, changes.length]
      while (low < high) {
        const middle = (low + high) >> 1
        if ((changes[middle]?.fence.index ?? 0) <= version) low = middle + 1
        else high = middle
      }
      let [end, size] = [low, 0]
      for (; end < changes.length; end += 1) {
        const one = changes[end]
        size += one?.size ?? 0
        // Those of one entry are told together.
        const isNext = one?.fence.index !== changes[end - 1]?.fence.index
        if (end > low && isNext && (end - low >= most || size > mostBytes)) break
      }
      return changes.slice(low, end)
    },
    all: () => [...records.values()],
    restore(all, version) {
      records = new Map(all.map((record) => [record.key, { ...record, value: freezeJson(record.value) }]))
      sorted = undefined
      bytes = all.reduce((sum, { size }) => sum + size, 0)
      shares.clear()
      parts.clear()
      for (const record of all) own(record, 1)
      changes = []
      changeBytes = 0
      floor = version
    },
    parts,
    bytesOf: shares.bytesOf,
    bytes: () => bytes,
    count: () => records.size,
  }
}

/**
 * What a journal has, as rows of a snapshot, and in chunks as members send it to one another. Pure.
 *
 * Rows: `a` says what the snapshot is of; `r/<key>` is a record, `s/<id>` a session, `t/<id>/<serial>` an answer of it, each
 * of them JSON; those of collections are in collection-rows.ts. The chunks are those of the versions before rows, so that members of both can send to one another.
 */
import type { SavedRows, StateChange, StateRow } from '../../consensus/group/group-storage.ts'
import { ParleyError } from '../../errors.ts'
import { collectionRows, isOfCollection } from './collection-rows.ts'
import type { JournalRecord } from './record-map.ts'
import { answerSize, type CommandAnswer, type SavedSession, type SessionChange } from './session-table.ts'

const FORMAT = 1
const CHUNK_BYTES = 262_144
/** About what a record, a session or an answer takes in a chunk beside what it holds, bytes. */
const FRAME_BYTES = 100

const HEAD = 'a'
const RECORDS = 'r/'
const SESSIONS = 's/'
const ANSWERS = 't/'
/** So that keys sort as numbers do. */
const DIGITS = 16
/** Below the index of any entry. */
const BEFORE_ALL = -1_000_000_000

export interface JournalHead {
  readonly format: number
  /** Index of the last entry that it has. */
  readonly version: number
  /** Milliseconds since 1970, of the clock of entries. */
  readonly at: number
}

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder()
const text = (value: unknown): Uint8Array => ENCODER.encode(JSON.stringify(value))
const parse = (bytes: Uint8Array): unknown => JSON.parse(DECODER.decode(bytes))

const digits = (number: number): string => String(number).padStart(DIGITS, '0')
const sessionKey = (id: number): string => SESSIONS + digits(id)
const answerKey = (id: number, serial: number): string => `${ANSWERS}${digits(id)}/${digits(serial)}`

export interface JournalChanges {
  readonly head: Omit<JournalHead, 'format'>
  readonly records: readonly (readonly [string, JournalRecord | undefined])[]
  readonly sessions: readonly SessionChange[]
}

const encoded = (value: unknown): string | undefined => (value === undefined ? undefined : JSON.stringify(value))

export const rowsOfChanges = function* ({ head, records, sessions }: JournalChanges): Generator<StateChange> {
  yield { key: HEAD, value: JSON.stringify({ format: FORMAT, ...head }) }
  for (const [key, record] of records) yield { key: RECORDS + key, value: encoded(record) }
  for (const { id, session, answers } of sessions) {
    yield { key: sessionKey(id), value: encoded(session) }
    for (const [serial, answer] of answers) yield { key: answerKey(id, serial), value: encoded(answer) }
  }
}

const newer = (format: unknown): ParleyError =>
  new ParleyError('STA003', `a snapshot of the journal of format ${format} cannot be read`, {
    hint: 'it was written by a newer version: start that one',
    details: { reason: 'newer' },
  })

const headOf = (bytes: Uint8Array | undefined): JournalHead => {
  const head = bytes === undefined ? undefined : (parse(bytes) as JournalHead)
  if (head?.format !== FORMAT) throw newer(head?.format)
  return head
}

export interface SavedJournal {
  readonly head: JournalHead
  readonly records: readonly JournalRecord[]
  /** The one that was used least lately first. */
  readonly sessions: readonly SavedSession[]
}

const readSessions = async (saved: SavedRows): Promise<SavedSession[]> => {
  const sessions = new Map<number, Omit<SavedSession, 'answers'> & { answers: [number, CommandAnswer][] }>()
  for await (const { value } of saved.rows(SESSIONS)) {
    const session = parse(value) as Omit<SavedSession, 'answers'>
    sessions.set(session.id, { ...session, answers: [] })
  }
  for await (const { key, value } of saved.rows(ANSWERS)) {
    const [id, serial] = key.slice(ANSWERS.length).split('/').map(Number)
    sessions.get(id ?? 0)?.answers.push([serial ?? 0, parse(value) as CommandAnswer])
  }
  return [...sessions.values()].sort((a, b) => a.used - b.used)
}

/** All that is kept in memory. @throws STA003 `newer`, `damaged` */
export const readJournal = async (saved: SavedRows): Promise<SavedJournal> => {
  const head = headOf(await saved.get(HEAD))
  const records: JournalRecord[] = []
  for await (const { value } of saved.rows(RECORDS)) records.push(parse(value) as JournalRecord)
  return { head, records, sessions: await readSessions(saved) }
}

/** Gathers what makes one chunk, of about CHUNK_BYTES. */
class ChunkPart<T> {
  readonly #lengthOf: (one: T) => number
  #part: T[] = []
  #size = 0

  constructor(lengthOf: (one: T) => number) {
    this.#lengthOf = lengthOf
  }

  /** @returns what was gathered before, where this one has no room with it */
  add(one: T): T[] | undefined {
    const length = FRAME_BYTES + this.#lengthOf(one)
    const full = this.#part.length > 0 && this.#size + length > CHUNK_BYTES ? this.#part : undefined
    if (full !== undefined) {
      this.#part = []
      this.#size = 0
    }
    this.#part.push(one)
    this.#size += length
    return full
  }

  rest(): T[] {
    return this.#part
  }
}

function* cut<T>(all: Iterable<T>, lengthOf: (one: T) => number): Generator<T[]> {
  const part = new ChunkPart(lengthOf)
  for (const one of all) {
    const full = part.add(one)
    if (full !== undefined) yield full
  }
  if (part.rest().length > 0) yield part.rest()
}

/** A session with many answers, as several with some of them each. */
function* pieces(saved: readonly SavedSession[]): Generator<Omit<SavedSession, 'used'>> {
  for (const { used: _, ...session } of saved) {
    if (session.answers.length === 0) yield session
    for (const answers of cut(session.answers, ([, answer]) => answerSize(answer))) yield { ...session, answers }
  }
}

const lengthOf = ({ answers }: Pick<SavedSession, 'answers'>): number =>
  answers.reduce((sum, [, answer]) => sum + FRAME_BYTES + answerSize(answer), 0)

/** Values that are JSON already, as a list under this name. */
const chunkOf = (name: string, values: readonly Uint8Array[]): Uint8Array =>
  ENCODER.encode(`{"${name}":[${values.map((value) => DECODER.decode(value)).join(',')}]}`)

export const encodeJournal = async function* (saved: SavedRows): AsyncGenerator<Uint8Array> {
  yield text(headOf(await saved.get(HEAD)))
  for await (const part of partsOf(saved.rows(RECORDS)))
    yield chunkOf(
      'records',
      part.map(({ value }) => value),
    )
  for (const sessions of cut(pieces(await readSessions(saved)), lengthOf)) yield text({ sessions })
  for await (const part of partsOf(collectionRows(saved)))
    yield text({ rows: part.map(({ key, value }): WireRow => [key, DECODER.decode(value)]) })
}

/** A row as it travels: its key and its value, which is JSON, as texts. */
type WireRow = readonly [key: string, value: string]

async function* partsOf(rows: AsyncIterable<StateRow>): AsyncGenerator<StateRow[]> {
  const part = new ChunkPart<StateRow>(({ key, value }) => key.length + value.length)
  for await (const row of rows) {
    const full = part.add(row)
    if (full !== undefined) yield full
  }
  if (part.rest().length > 0) yield part.rest()
}

const USABLE = /^[\x21-\x7e]{1,600}$/
/** @throws TypeError for what no command can have written */
const usable = (key: string): string => {
  if (!USABLE.test(key)) throw new TypeError('this is no key of a journal')
  return key
}

/** @throws STA003 `newer`; a SyntaxError or TypeError for what nobody encoded */
export const decodeJournal = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<StateRow> {
  let head: JournalHead | undefined
  const order = new Map<number, number>()
  for await (const chunk of chunks) {
    if (head === undefined) {
      head = headOf(chunk)
      yield { key: HEAD, value: chunk }
      continue
    }
    const {
      records = [],
      sessions = [],
      rows = [],
    } = parse(chunk) as {
      records?: JournalRecord[]
      sessions?: Omit<SavedSession, 'used'>[]
      rows?: WireRow[]
    }
    for (const [key, value] of rows) {
      if (!isOfCollection(key)) throw new TypeError('this is no row of a collection')
      yield { key: usable(key), value: ENCODER.encode(value) }
    }
    for (const record of records) yield { key: usable(RECORDS + record.key), value: text(record) }
    for (const { id, owner, acked, answers } of sessions) {
      const used = order.get(id) ?? BEFORE_ALL + order.size
      order.set(id, used)
      yield { key: usable(sessionKey(id)), value: text({ id, owner, acked, used }) }
      for (const [serial, answer] of answers) yield { key: usable(answerKey(id, serial)), value: text(answer) }
    }
  }
  if (head === undefined) throw newer(undefined)
}

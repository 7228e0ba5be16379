/**
 * Messages of a group as bytes: protobuf fields, written and checked by hand, since every decision passes here twice for
 * each member. The format is `raft.proto`; a property test holds the two together. Pure.
 *
 * Decoding throws MSG003 for anything malformed, and copies entries' data, so that a frame is not kept for their sake. What
 * no member that keeps the rules would say is malformed too: terms that go back, or that are above the message's own.
 */
import { allocUnsafe } from 'uint8arrays/alloc'
import { DELIMITED, malformed, ProtobufReader, ProtobufWriter, VARINT } from '../../wire/frames/protobuf.ts'
import { isMemberId } from '../member-id.ts'
import {
  type Configuration,
  decodeConfiguration,
  EMPTY_DATA,
  type Entry,
  encodeConfiguration,
  type RaftMessage,
} from './raft-messages.ts'

/** One message, from member to member of a group. */
export interface RaftPacket {
  readonly group: string
  readonly from: string
  readonly to: string
  readonly message: RaftMessage
}

const TYPES = ['vote', 'voted', 'append', 'appended', 'snapshot', 'timeout-now', 'read', 'read-at'] as const
const KINDS = ['empty', 'command', 'configuration'] as const
const MAX_GROUP = 64
const MAX_MEMBER = 192
const MAX_ENTRIES = 4_096
/** Members of one group; five vote, and a few learn. */
const MAX_MEMBERS = 64
/** Bytes: each id, its quotes and comma, and what is around them. */
const MAX_CONFIGURATION = 2 * MAX_MEMBERS * (MAX_MEMBER + 3) + 64
/** Of terms and indices: far above what a group reaches, and exact in a number with room for what is added. */
const MAX_NUMBER = 2 ** 50

/** Field numbers; those of a message that has no such field are left out. */
const GROUP = 1
const FROM = 2
const TO = 3
const TYPE = 4
const TERM = 5
/** previousIndex, lastIndex, index, the snapshot's index. */
const INDEX = 6
/** previousTerm, lastTerm, the snapshot's term. */
const INDEX_TERM = 7
const COMMIT = 8
const ROUND = 9
const ENTRY = 10
const HINT_INDEX = 11
const HINT_TERM = 12
/** isPre, isTransfer, granted, accepted: bits. */
const FLAGS = 13
const ID = 14
const CONFIGURATION = 15

const PRE = 1
const TRANSFER = 2
const YES = 4

/** About what an entry takes beside its data, and a message beside its entries; bytes. */
const ENTRY_ROOM = 40
const STEP_ROOM = 512

const writeEntries = (writer: ProtobufWriter, entries: readonly Entry[]): void => {
  const entry = new ProtobufWriter(allocUnsafe(STEP_ROOM))
  for (const { index, term, kind, data } of entries) {
    entry.at = 0
    entry.varintField(1, index)
    entry.varintField(2, term)
    entry.varintField(3, KINDS.indexOf(kind))
    entry.bytesField(4, data)
    writer.delimited(ENTRY, entry.bytes.subarray(0, entry.at))
  }
}

const roomFor = (message: RaftMessage): number =>
  message.type === 'append'
    ? message.entries.reduce((sum, { data }) => sum + data.length + ENTRY_ROOM, STEP_ROOM)
    : STEP_ROOM

const flag = (isSet: boolean, bit: number): number => (isSet ? bit : 0)

export const encodeRaftPacket = ({ group, from, to, message }: RaftPacket): Uint8Array => {
  const writer = new ProtobufWriter(allocUnsafe(roomFor(message)))
  writer.stringField(GROUP, group)
  writer.stringField(FROM, from)
  writer.stringField(TO, to)
  writer.varintField(TYPE, TYPES.indexOf(message.type))
  writer.varintField(TERM, message.term)
  switch (message.type) {
    case 'vote':
      writer.varintField(INDEX, message.lastIndex)
      writer.varintField(INDEX_TERM, message.lastTerm)
      writer.varintField(HINT_INDEX, message.placed?.index ?? 0)
      writer.varintField(FLAGS, flag(message.isPre, PRE) | flag(message.isTransfer, TRANSFER))
      if (message.placed !== undefined)
        writer.bytesField(CONFIGURATION, encodeConfiguration(message.placed.configuration))
      break
    case 'voted':
      writer.varintField(FLAGS, flag(message.isPre, PRE) | flag(message.granted, YES))
      break
    case 'append':
      writer.varintField(INDEX, message.previousIndex)
      writer.varintField(INDEX_TERM, message.previousTerm)
      writer.varintField(COMMIT, message.commit)
      writer.varintField(ROUND, message.round)
      writeEntries(writer, message.entries)
      break
    case 'appended':
      writer.varintField(INDEX, message.index)
      writer.varintField(ROUND, message.round)
      writer.varintField(HINT_INDEX, message.hintIndex)
      writer.varintField(HINT_TERM, message.hintTerm)
      writer.varintField(FLAGS, flag(message.accepted, YES))
      break
    case 'snapshot':
      writer.varintField(INDEX, message.meta.index)
      writer.varintField(INDEX_TERM, message.meta.term)
      writer.bytesField(CONFIGURATION, encodeConfiguration(message.meta.configuration))
      break
    case 'read':
      writer.varintField(ID, message.id)
      break
    case 'read-at':
      writer.varintField(INDEX, message.index)
      writer.varintField(ID, message.id)
      break
    case 'timeout-now':
  }
  return writer.finish()
}

const readEntry = (bytes: Uint8Array): Entry => {
  const reader = new ProtobufReader(bytes)
  const numbers = [0, 0, 0, 0]
  let data = EMPTY_DATA
  while (reader.more()) {
    const tag = reader.varint()
    const [field, type] = [tag >>> 3, tag & 7]
    if (type === VARINT && field <= 3) numbers[field] = reader.varint()
    else if (type === DELIMITED && field === 4) data = new Uint8Array(reader.delimited())
    else reader.skip(type)
  }
  const [, index = 0, term = 0, at = 0] = numbers
  const kind = KINDS[at]
  if (kind === undefined) throw malformed(`an entry of kind ${at}`)
  if (kind === 'configuration') readConfiguration(data)
  return { index, term, kind, data }
}

const isNames = (value: unknown): value is string[] =>
  Array.isArray(value) &&
  value.length <= MAX_MEMBERS &&
  value.every((one) => typeof one === 'string' && isMemberId(one))

/** As it came from elsewhere. @throws MSG003 */
export const readConfiguration = (bytes: Uint8Array): Configuration => {
  if (bytes.length > MAX_CONFIGURATION) throw malformed(`a configuration of ${bytes.length} bytes`)
  let found: unknown
  try {
    found = decodeConfiguration(bytes)
  } catch {
    throw malformed('a configuration that is no JSON')
  }
  const voters: unknown = Reflect.get(Object(found), 'voters')
  const learners: unknown = Reflect.get(Object(found), 'learners')
  if (!isNames(voters) || !isNames(learners)) throw malformed('a configuration that names no members')
  if (voters.length === 0) throw malformed('a configuration without voters')
  if (new Set([...voters, ...learners]).size !== voters.length + learners.length)
    throw malformed('a configuration that names a member twice')
  return { voters, learners }
}

/** Terms never go back in a log, and none is above that of the message. @throws MSG003 */
const checkTerms = (term: number, before: number, entries: readonly Entry[] = []): void => {
  let last = before
  for (const entry of entries) {
    if (entry.term < last) throw malformed('entries whose terms go back')
    last = entry.term
  }
  if (last > term) throw malformed('an entry of a term to come')
}

/** @throws MSG003 */
export const decodeRaftPacket = (bytes: Uint8Array): RaftPacket => {
  const reader = new ProtobufReader(bytes)
  const texts = ['', '', '', '']
  const numbers: number[] = new Array(16).fill(0)
  const entries: Entry[] = []
  let configuration: Configuration | undefined
  while (reader.more()) {
    const tag = reader.varint()
    const [field, type] = [tag >>> 3, tag & 7]
    if (type === VARINT && field < 16) {
      const value = reader.varint()
      if (value > MAX_NUMBER && field !== ID) throw malformed(`a number above ${MAX_NUMBER}`)
      numbers[field] = value
    } else if (type !== DELIMITED) reader.skip(type)
    else if (field === GROUP) texts[field] = reader.string(MAX_GROUP)
    else if (field === FROM || field === TO) texts[field] = reader.string(MAX_MEMBER)
    else if (field === ENTRY) {
      if (entries.length >= MAX_ENTRIES) throw malformed(`more than ${MAX_ENTRIES} entries`)
      entries.push(readEntry(reader.delimited()))
    } else if (field === CONFIGURATION) configuration = readConfiguration(reader.delimited())
    else reader.skip(type)
  }
  const number = (field: number): number => numbers[field] ?? 0
  const has = (bit: number): boolean => (number(FLAGS) & bit) !== 0
  const messageOf = (): RaftMessage => {
    const type = TYPES[number(TYPE)]
    const term = number(TERM)
    const index = number(INDEX)
    switch (type) {
      case 'vote': {
        const last = { lastIndex: index, lastTerm: number(INDEX_TERM) }
        checkTerms(term, last.lastTerm)
        const placed = configuration && { placed: { index: number(HINT_INDEX), configuration } }
        return { type, term, ...last, isPre: has(PRE), isTransfer: has(TRANSFER), ...placed }
      }
      case 'voted':
        return { type, term, isPre: has(PRE), granted: has(YES) }
      case 'append': {
        // The log adds them one by one: a gap among them would be a gap there.
        if (entries.some((entry, i) => entry.index !== index + 1 + i)) throw malformed('entries with a gap')
        const previous = { previousIndex: index, previousTerm: number(INDEX_TERM) }
        checkTerms(term, previous.previousTerm, entries)
        return { type, term, ...previous, entries, commit: number(COMMIT), round: number(ROUND) }
      }
      case 'appended': {
        const hint = { hintIndex: number(HINT_INDEX), hintTerm: number(HINT_TERM) }
        return { type, term, index, accepted: has(YES), ...hint, round: number(ROUND) }
      }
      case 'snapshot':
        if (configuration === undefined) throw malformed('a snapshot without its configuration')
        checkTerms(term, number(INDEX_TERM))
        return { type, term, meta: { index, term: number(INDEX_TERM), configuration } }
      case 'timeout-now':
        return { type, term }
      case 'read':
        return { type, term, id: number(ID) }
      case 'read-at':
        return { type, term, id: number(ID), index }
      default:
        throw malformed(`a message of type ${number(TYPE)}`)
    }
  }
  const [, group = '', from = '', to = ''] = texts
  if (group === '' || !isMemberId(from) || !isMemberId(to))
    throw malformed('a message without group, sender or receiver')
  return { group, from, to, message: messageOf() }
}

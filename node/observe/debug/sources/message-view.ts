/** Durable messages as the debug endpoint shows them. Read when somebody looks. */
import type { DeadLetter, DeadLetters } from '../../../../protocols/delivery/dead-letters/dead-letter-store.ts'
import type { Stop } from '../../../../protocols/port.ts'
import type { DurableMessages } from '../../../parts/durable-messages.ts'
import type { DebugEvent } from '../debug-schemas.ts'
import type { DeadLetterView, MessageSource } from '../message-schemas.ts'
import { matchesFilter } from '../text-filter.ts'

type NameOf = (peer: string) => string

const MAX_DESTINATIONS = 1_000
/** Groups of dead letters that one answer holds. */
const MAX_GROUPS = 100

/** What JSON cannot hold as something that it can: bytes as base64, large numbers as text. */
const showable = (value: unknown): unknown => {
  const text = JSON.stringify(value, (_, one: unknown) => {
    if (typeof one === 'bigint') return String(one)
    if (one instanceof Uint8Array) return `base64:${Buffer.from(one).toString('base64')}`
    return one instanceof Map ? [...one] : one
  })
  return text === undefined ? undefined : JSON.parse(text)
}

/** Without what is not known: figures and texts that are not there are left out. */
export const definedOnly = <T extends object>(value: T) =>
  Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }

const letterView = (letter: DeadLetter, nameOf: NameOf): DeadLetterView => ({
  ...definedOnly(letter),
  name: nameOf(letter.destination),
})

/** All by which a letter is searched for: what is shown of it without the key. */
const lineOf = (letter: DeadLetter, nameOf: NameOf): string => {
  const { id, messageId, type, destination, conversationId = '', code, reason, hint = '' } = letter
  return [id, messageId, type, destination, nameOf(destination), conversationId, code, reason, hint].join(' ')
}

/** Of the dead letters alone. */
export const createDeadLetterView = (
  letters: Pick<DeadLetters, 'search' | 'show' | 'groups'>,
  nameOf: NameOf,
): Pick<MessageSource, 'deadLetters' | 'deadLetter' | 'letterGroups'> => ({
  async deadLetters({ text = '', ...query }) {
    const { letters: found, next } = await letters.search({
      ...definedOnly(query),
      matches: (letter) => matchesFilter(lineOf(letter, nameOf), text),
      // By what they are grouped by they are found without being read.
      ...(text === '' && { scan: Number.POSITIVE_INFINITY }),
    })
    return { letters: found.map((letter) => letterView(letter, nameOf)), ...(next !== undefined && { next }) }
  },
  async letterGroups(by) {
    const groups = letters.groups(by)
    const rest = groups.slice(MAX_GROUPS).reduce((sum, group) => sum + group.letters, 0)
    const shown = groups.slice(0, MAX_GROUPS).map(async ({ key, letters: count, bytes, newest }) => {
      // It may have been purged meanwhile.
      const { reason = '', lastFailureAt = 0 } = (await letters.show(newest).catch(() => undefined)) ?? {}
      return { key, name: by === 'destination' ? nameOf(key) : '', letters: count, bytes, reason, lastFailureAt }
    })
    return { by, groups: await Promise.all(shown), others: rest }
  },
  async deadLetter(id) {
    const { headers, sentAt, data, ...letter } = await letters.show(id)
    return { ...letterView(letter, nameOf), headers: { ...headers }, sentAt, data: showable(data) }
  },
})

export const createMessageView = (messages: DurableMessages, nameOf: NameOf): MessageSource => ({
  ...createDeadLetterView(messages.deadLetters, nameOf),
  delivery() {
    const { destinations, counts, ...figures } = messages.figures()
    const problem = messages.problem()
    const busiest = [...destinations].sort((a, b) => b.waiting + b.inFlight - a.waiting - a.inFlight)
    return {
      ...(problem !== undefined && { problem }),
      outbox: { messages: figures.outbox, bytes: figures.outboxBytes, inFlight: figures.inFlight },
      received: {
        held: figures.held,
        bytes: figures.heldBytes,
        running: figures.running,
        senders: figures.senders,
      },
      inbox: { messages: figures.inbox, bytes: figures.inboxBytes, types: messages.inbox.types() },
      deadLetters: { messages: figures.deadLetters, bytes: figures.deadLetterBytes },
      conversations: { count: messages.conversations.size(), bytes: messages.conversations.bytes() },
      counts: { ...counts },
      destinations: busiest
        .slice(0, MAX_DESTINATIONS)
        .map(({ peer, ...one }) => ({ id: peer, name: nameOf(peer), ...one })),
    }
  },
  retry: (id, to) => messages.deadLetters.retry(id, to === undefined ? {} : { to }),
  purge: (id) => messages.deadLetters.purge(id),
  conversations: (limit) => ({
    count: messages.conversations.size(),
    conversations: messages.conversations
      .list(limit === undefined ? {} : { limit })
      .map(({ peers, ...facts }) => ({ ...facts, peers: [...peers] })),
  }),
  conversation: (id) => ({
    id,
    messages: messages.conversations
      .get(id)
      .map(({ data, ...message }) => ({ ...definedOnly(message), name: nameOf(message.peer), data: showable(data) })),
  }),
  async inbox(query) {
    const entries = await messages.inbox.list(definedOnly(query))
    return {
      messages: messages.inbox.size(),
      bytes: messages.inbox.bytes(),
      entries: entries.map((entry) => ({ ...definedOnly(entry), name: nameOf(entry.source) })),
    }
  },
})

/** A dead letter as the event stream tells of it. */
export const onDeadLetter = (messages: DurableMessages, now: () => number, fn: (event: DebugEvent) => void): Stop =>
  messages.deadLetters.onDead(({ id, type, destination, code, isCall }) =>
    fn({ type: 'dead-letter', at: now(), id, messageType: type, destination, code, isCall }),
  ).stop

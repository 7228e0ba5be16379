/**
 * `parley dlq`: the dead letters of a node: listed, shown, sent again, thrown away. A running node is asked by its control
 * socket, or by its debug endpoint; of one that is stopped they can be looked at (stopped-dead-letters.ts). Results go to stdout,
 * questions to stderr.
 */

import type * as z from 'zod'
import { isParleyError } from '../../../../protocols/errors.ts'
import {
  DeadLetterDetailsSchema,
  type DeadLetterSchema,
  DeadLettersSchema,
  PurgedSchema,
  RetriedSchema,
} from '../../../observe/debug/message-schemas.ts'
import { peerIdOf } from '../../connect/choose-node.ts'
import { findNodeEndpoint, type NodeEndpoint, requestNode } from '../../connect/node-endpoint.ts'
import type { NodeSelector } from '../../connect/running-nodes.ts'
import { processTerminalPrompt, type TerminalPrompt } from '../../input/terminal-prompt.ts'
import { errorText, usageError } from '../../output/exit-codes.ts'
import { print } from '../../output/print.ts'
import { createProgressBar } from '../../output/progress-bar.ts'
import * as text from './dead-letter-text.ts'

export interface DlqOptions extends NodeSelector {
  json?: boolean
}
export interface DlqListOptions extends DlqOptions {
  type?: string
  destination?: string
  limit: number
  after?: string
  wide?: boolean
}
export interface DlqRetryOptions extends DlqOptions {
  all?: boolean
  type?: string
  to?: string
}
export interface DlqPurgeOptions extends DlqOptions {
  all?: boolean
  yes?: boolean
}

type Letter = z.output<typeof DeadLetterSchema>

/** What a page may have. */
const PAGE = 1_000
const warn = (out: string): void => void process.stderr.write(out)

const queryOf = (facts: Record<string, string | number | undefined>): string => {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(facts)) if (value !== undefined) query.set(name, String(value))
  return query.size === 0 ? '' : `?${query}`
}

const pathOf = (id: string): string => `/api/dlq/${encodeURIComponent(id)}`

/** The stopped node's store where none runs, what was given names one, and it is there. */
const stopped = async (which: NodeSelector, error: unknown) => {
  if (!isParleyError(error, 'COM002') || error.remote || which.url !== undefined) throw error
  const { openStoppedDeadLetters } = await import('./stopped-dead-letters.ts')
  return openStoppedDeadLetters(which, error)
}

export const listDeadLetters = async ({
  type,
  destination,
  limit,
  after,
  ...options
}: DlqListOptions): Promise<void> => {
  const query = { type, destination, limit, after }
  let found: z.output<typeof DeadLettersSchema>
  try {
    found = await requestNode(await findNodeEndpoint(options), 'GET', `/api/dlq${queryOf(query)}`, DeadLettersSchema)
  } catch (error) {
    const { messages, bytes, deadLetters } = await stopped(options, error)
    found = DeadLettersSchema.parse({ messages, bytes, letters: await deadLetters(query) })
  }
  print(options.json === true ? JSON.stringify(found.letters) : text.listText(found, limit, options.wide))
}

export const showDeadLetter = async (id: string, options: DlqOptions): Promise<void> => {
  let letter: z.output<typeof DeadLetterDetailsSchema>
  try {
    letter = await requestNode(await findNodeEndpoint(options), 'GET', pathOf(id), DeadLetterDetailsSchema)
  } catch (error) {
    const { deadLetter } = await stopped(options, error)
    letter = DeadLetterDetailsSchema.parse(await deadLetter(id))
  }
  print(options.json === true ? JSON.stringify(letter) : text.letterText(letter))
}

/** All of them as they are now: what is sent again and dies again comes behind, and is not taken twice. */
const everyLetter = async (node: NodeEndpoint, type: string | undefined): Promise<Letter[]> => {
  const all: Letter[] = []
  for (let after: string | undefined; ; ) {
    const query = queryOf({ type, limit: PAGE, after })
    const { letters } = await requestNode(node, 'GET', `/api/dlq${query}`, DeadLettersSchema)
    all.push(...letters)
    after = letters.at(-1)?.id
    if (letters.length < PAGE || after === undefined) return all
  }
}

const oneOf = (id: string | undefined, several: boolean, what: string): void => {
  if (id === undefined && !several) throw usageError('no dead letter is named', `give its id, or ${what}`)
  if (id !== undefined && several)
    throw usageError('an id and an option name different dead letters', 'give one of them')
}

export const retryDeadLetters = async (id: string | undefined, options: DlqRetryOptions): Promise<void> => {
  const { all = false, type, to } = options
  oneOf(id, all || type !== undefined, '--all, or --type TYPE')
  const node = await findNodeEndpoint(options)
  const peer = to === undefined ? undefined : await peerIdOf(node, to)
  const again = (one: string): Promise<unknown> =>
    requestNode(node, 'POST', `${pathOf(one)}/retry${queryOf({ to: peer })}`, RetriedSchema)
  if (id !== undefined) {
    await again(id)
    print(options.json === true ? JSON.stringify({ retried: 1, calls: 0, failed: 0 }) : `${id} is sent again`)
    return
  }
  const letters = await everyLetter(node, type)
  const messages = letters.filter(({ isCall }) => !isCall)
  let retried = 0
  let failure: unknown
  let failed = 0
  const bar = await createProgressBar('sending again', messages.length, options.json === true || messages.length < 100)
  for (const letter of messages) {
    bar.advance(1, `${retried} sent again`)
    try {
      await again(letter.id)
      retried += 1
    } catch (error) {
      // Somebody else retried or purged it in between.
      if (isParleyError(error, 'STA001')) continue
      if (!isParleyError(error) || !error.remote) {
        bar.end(`${retried} sent again`)
        throw error
      }
      failure ??= error
      failed += 1
      if (options.json !== true) warn(`${letter.id}: ${errorText(error)}`)
      if (error.code === 'COM003' || error.code === 'STA003') break
    }
  }
  bar.end(`${retried} sent again`)
  const outcome = { retried, calls: letters.length - messages.length, failed }
  print(options.json === true ? JSON.stringify(outcome) : text.retriedText(outcome, messages.length))
  if (failure !== undefined) throw failure
}

export const purgeDeadLetters = async (
  id: string | undefined,
  options: DlqPurgeOptions,
  terminal: TerminalPrompt = processTerminalPrompt(),
): Promise<void> => {
  const { all = false, yes = false } = options
  oneOf(id, all, '--all')
  const node = await findNodeEndpoint(options)
  if (id === undefined && !yes) {
    if (!terminal.isInteractive) throw usageError('somebody has to confirm this', 'run it on a terminal, or with --yes')
    const { messages } = await requestNode(node, 'GET', '/api/dlq?limit=1', DeadLettersSchema)
    const typed = await terminal.ask(`Type purge to throw ${text.letters(messages)} away: `)
    if (typed !== 'purge') throw usageError('nothing was thrown away', 'run it again if you mean it')
  }
  const { purged } = await requestNode(node, 'DELETE', id === undefined ? '/api/dlq' : pathOf(id), PurgedSchema)
  print(options.json === true ? JSON.stringify({ purged }) : `${text.letters(purged)} thrown away`)
}

/** `parley pub`: publishes events by a running node: one, the same one many times, or a line of stdin each. */

import { MAX_BATCH, PublishedSchema } from '../../../control/control-schemas.ts'
import { nodeOfOneMesh } from '../../connect/choose-node.ts'
import { findControlledNode } from '../../connect/node-endpoint.ts'
import type { NodeSelector } from '../../connect/running-nodes.ts'
import { createInterrupt } from '../../input/signals.ts'
import { readInputLines, readJsonInput } from '../../input/stdin.ts'
import { usageError } from '../../output/exit-codes.ts'
import { print } from '../../output/print.ts'
import { createProgressBar } from '../../output/progress-bar.ts'

export interface PubOptions extends Omit<NodeSelector, 'url'> {
  count?: number
  type?: string
  ttl?: number
  json?: boolean
}

/** Characters of JSON in one request, about. */
const BATCH_CHARS = 1024 * 1024
/** Milliseconds that what is there waits for more lines. */
const GATHER_MS = 50

/** What is published, and about how large it is. */
interface One {
  readonly data: unknown
  readonly chars: number
}

async function* fromStdin(): AsyncGenerator<One, void, undefined> {
  let number = 0
  for await (const line of readInputLines(process.stdin)) {
    number += 1
    if (line.trim() === '') continue
    try {
      yield { data: JSON.parse(line), chars: line.length }
    } catch (error) {
      throw usageError(
        `line ${number} of the input is not JSON: ${error instanceof Error ? error.message : String(error)}`,
        'each line is one event; those before it were published',
      )
    }
  }
}

async function* repeated(data: unknown, count: number): AsyncGenerator<One, void, undefined> {
  const chars = JSON.stringify(data).length
  for (let n = 0; n < count; n += 1) yield { data, chars }
}

/** What comes quickly goes together; what comes slowly does not wait. */
async function* batches(source: AsyncGenerator<One, void, undefined>): AsyncGenerator<unknown[], void, undefined> {
  let batch: unknown[] = []
  let chars = 0
  let next = source.next()
  for (;;) {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => {
      if (batch.length > 0) timer = setTimeout(() => resolve(undefined), GATHER_MS)
    })
    let result: IteratorResult<One, void> | undefined
    try {
      result = await Promise.race([next, late])
    } catch (error) {
      clearTimeout(timer)
      // What was read before the line that is wrong is published.
      if (batch.length > 0) yield batch
      throw error
    }
    clearTimeout(timer)
    const isOver = result?.done === true
    if (result !== undefined && result.done !== true) {
      batch.push(result.value.data)
      chars += result.value.chars
      next = source.next()
    }
    if (batch.length > 0 && (result === undefined || isOver || batch.length >= MAX_BATCH || chars >= BATCH_CHARS)) {
      yield batch
      batch = []
      chars = 0
    }
    if (isOver) return
  }
}

export const pub = async (topic: string, text: string | undefined, options: PubOptions): Promise<void> => {
  const { count, type, ttl, json = false, ...which } = options
  if (text === '-' && count !== undefined) throw usageError('--count repeats one event', 'leave it out with -')
  const source = text === '-' ? fromStdin() : repeated(await readJsonInput(text), count ?? 1)
  const { control } = await findControlledNode(await nodeOfOneMesh(which))
  const { signal, release } = createInterrupt('what went out before is published')
  const bar = await createProgressBar(
    `publishing to ${topic}`,
    text === '-' ? undefined : (count ?? 1),
    json || count === undefined,
  )
  const startedAt = performance.now()
  let published = 0
  let last: { id: string; recipients: number } = { id: '', recipients: 0 }
  const more = { ...(type !== undefined && { type }), ...(ttl !== undefined && { ttlMs: ttl }) }
  try {
    for await (const events of batches(source)) {
      const body = { topic, events, ...more }
      last = await control.ask('POST', '/api/publish', PublishedSchema, { body, signal })
      published += events.length
      bar.advance(events.length, `${published} events`)
    }
  } finally {
    release()
    bar.end(`${published} events`)
  }
  const ms = Math.round(performance.now() - startedAt)
  const { id, recipients } = last
  if (json) return print(JSON.stringify({ topic, published, ms, ...(published > 0 && { id, recipients }) }))
  if (published === 0) return print('nothing to publish')
  const to =
    recipients === 0
      ? 'nobody else was there to hear it'
      : `to ${recipients} ${recipients === 1 ? 'neighbour' : 'neighbours'}`
  print(
    published === 1
      ? `published ${id}; ${to}`
      : `published ${published} events in ${(ms / 1000).toFixed(1)} s, ${Math.round((published * 1000) / Math.max(1, ms))} a second; ${to}`,
  )
}

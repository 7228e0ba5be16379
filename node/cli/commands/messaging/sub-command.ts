/**
 * `parley sub`: what is published under topics or patterns, as a running node receives it. State: the counts of a report, of at
 * most MAX_TOPICS topics.
 *
 * Events go to stdout, what was missed and that the node is gone to stderr. It reads as fast as its own reader does, so that
 * a slow one misses events, and a line says so, before memory fills.
 */
import { ParleyError } from '../../../../protocols/errors.ts'
import { type SubscribeLine, SubscribeLineSchema } from '../../../control/control-schemas.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { nodeOfOneMesh } from '../../connect/choose-node.ts'
import { findControlledNode } from '../../connect/node-endpoint.ts'
import type { NodeSelector } from '../../connect/running-nodes.ts'
import type { SubscribeFrom } from '../../input/option-values.ts'
import { createInterrupt } from '../../input/signals.ts'
import { usageError } from '../../output/exit-codes.ts'
import { createTopicReport } from './topic-report.ts'

export interface SubOptions extends Omit<NodeSelector, 'url'> {
  from?: SubscribeFrom
  count?: number
  for?: number
  reportTopics?: boolean
  json?: boolean
}

type EventLine = Extract<SubscribeLine, { type: 'event' }>

const REDRAW_MS = 500

/** Waits where the reader of stdout is slower. */
const write = (text: string): Promise<void> | undefined => {
  if (process.stdout.write(text) || process.stdout.destroyed) return undefined
  return new Promise((resolve) => {
    process.stdout.once('drain', resolve)
    process.stdout.once('close', resolve)
    process.stdout.once('error', () => resolve())
  })
}

const forPeople = ({ topic, data, name, source, timestamp }: EventLine): string => {
  const at = new Date(timestamp).toISOString().slice(11, 23)
  return `${at} ${escapeText(topic)} ${escapeText(name || source)} ${escapeText(JSON.stringify(data ?? null))}\n`
}

const missedText = ({ publisher, word, reason, count }: Extract<SubscribeLine, { type: 'missed' }>): string => {
  const what = `${count} ${count === 1 ? 'event' : 'events'}${word === '' ? '' : ` under ${word}`}`
  const whose = publisher === '' ? '' : ` of ${publisher}`
  return `missed ${what}${whose}: ${reason === 'gap' ? 'nobody holds them any more' : 'this reader was too slow'}\n`
}

/** Everything, where it is only asked which topics are alive. @throws MSG001 */
const wantedOf = (patterns: readonly string[], { reportTopics }: SubOptions): readonly string[] => {
  if (patterns.length > 0) return patterns
  if (reportTopics === true) return ['#']
  throw usageError(
    'no topic is named',
    "name one, or a pattern such as 'tasks.#'; --report-topics shows which are alive",
  )
}

export const sub = async (given: readonly string[], options: SubOptions): Promise<void> => {
  const patterns = wantedOf(given, options)
  const { from = 'latest', count = Number.POSITIVE_INFINITY, json = false } = options
  const { node, control } = await findControlledNode(await nodeOfOneMesh(options))
  const { signal, release } = createInterrupt('it hears no more')
  const limit = new AbortController()
  const timer = options.for === undefined ? undefined : setTimeout(() => limit.abort(new Error('over')), options.for)
  const report = options.reportTopics === true ? createTopicReport() : undefined
  const isLive = report !== undefined && !json && process.stdout.isTTY === true
  const redraw = isLive ? setInterval(() => process.stdout.write(report.redrawn()), REDRAW_MS) : undefined
  const either = AbortSignal.any([signal, limit.signal])
  let events = 0

  const show = async (line: SubscribeLine): Promise<void> => {
    if (line.type === 'ready') {
      if (report !== undefined) return
      if (json) await write(`${JSON.stringify(line)}\n`)
      else if (process.stderr.isTTY === true) process.stderr.write(`listening by ${node.name}; Ctrl-C ends it\n`)
      return
    }
    if (line.type === 'missed') {
      if (json && report === undefined) await write(`${JSON.stringify(line)}\n`)
      else process.stderr.write(missedText(line))
      return
    }
    events += 1
    if (report !== undefined) report.add(line)
    else await write(json ? `${JSON.stringify(line)}\n` : forPeople(line))
  }

  try {
    const lines = control.stream('/api/subscribe', SubscribeLineSchema, {
      body: { patterns, from },
      signal: either,
    })
    for await (const line of lines) {
      await show(line)
      if (events >= count) return
    }
    throw new ParleyError('COM002', `the node ${node.name} has stopped`, { hint: 'start it again with parley up' })
  } catch (error) {
    // It was to end like that.
    if (!either.aborted) throw error
  } finally {
    clearTimeout(timer)
    clearInterval(redraw)
    release()
    if (report !== undefined)
      await write(isLive ? report.redrawn() : json ? `${JSON.stringify(report.rows())}\n` : `${report.text()}\n`)
  }
}

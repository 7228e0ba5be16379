/**
 * `parley top`: the mesh as a running node sees it, live. State: the last look, for rates.
 *
 * On a terminal it redraws in place until q or Ctrl-C, on a screen of its own that is given back at the end, however it
 * ends; elsewhere, and with --once, it prints one table; with --json a line each interval.
 */
import { setTimeout } from 'node:timers/promises'
import { TopSchema, type TopView } from '../../../control/control-schemas.ts'
import { findControlledNode } from '../../connect/node-endpoint.ts'
import type { NodeSelector } from '../../connect/running-nodes.ts'
import { createInterrupt } from '../../input/signals.ts'
import { ratesOf, type TopRates, topText } from './top-table.ts'

export interface TopOptions extends Omit<NodeSelector, 'url'> {
  interval: number
  once?: boolean
  count?: number
  json?: boolean
}

/** The rates of a single table are taken over so many milliseconds. */
const ONCE_MS = 500
const LOOK_MS = 10_000
/** Of a table that nobody's terminal bounds. */
const UNBOUNDED = { columns: 1_000, rows: 10_000 }

/** The alternate screen, without cursor; keys come at once. @returns what gives the terminal back */
const takeTerminal = (quit: () => void): (() => void) => {
  const { stdin, stdout } = process
  const onKey = (key: Buffer): void => {
    // Ctrl-C comes as a key in raw mode.
    if (['q', 'Q', '\u0003', '\u001b'].includes(key.toString('utf8'))) quit()
  }
  const canRead = stdin.isTTY === true
  if (canRead) {
    stdin.setRawMode(true)
    stdin.on('data', onKey)
    stdin.resume()
  }
  stdout.write('\u001b[?1049h\u001b[?25l')
  const giveBack = (): void => {
    process.off('exit', giveBack)
    if (canRead) {
      stdin.off('data', onKey)
      stdin.setRawMode(false)
      stdin.pause()
    }
    stdout.write('\u001b[?25h\u001b[?1049l')
  }
  process.on('exit', giveBack)
  return giveBack
}

export const top = async (options: TopOptions): Promise<void> => {
  const { interval, json = false } = options
  const isLive = !json && options.once !== true && options.count === undefined && process.stdout.isTTY === true
  const shots =
    isLive || (json && options.once !== true && options.count === undefined)
      ? Number.POSITIVE_INFINITY
      : (options.count ?? 1)
  const { control } = await findControlledNode(options)
  const { signal, release } = createInterrupt('')
  const quit = new AbortController()
  const over = AbortSignal.any([signal, quit.signal])
  const look = (): Promise<TopView> => control.ask('GET', '/api/top', TopSchema, { signal: over, timeoutMs: LOOK_MS })
  const giveBack = isLive ? takeTerminal(() => quit.abort(new Error('over'))) : () => {}

  const show = (view: TopView, rates: TopRates | undefined): void => {
    if (json) return void process.stdout.write(`${JSON.stringify({ ...view, rates })}\n`)
    if (!isLive) return void process.stdout.write(`${topText(view, rates, UNBOUNDED)}\n`)
    // A terminal that does not know its size says 0.
    const size = { columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 }
    const text = topText(view, rates, size)
    // Each line is cleared behind its end, and the rest below: nothing flickers.
    process.stdout.write(`\u001b[H${text.replaceAll('\n', '\u001b[K\n')}\u001b[K\u001b[J`)
  }

  try {
    let before = await look()
    if (isLive) show(before, undefined)
    for (let shown = 0; shown < shots; shown += 1) {
      await setTimeout(isLive || json ? interval : Math.min(interval, ONCE_MS), undefined, { signal: over })
      const now = await look()
      show(now, ratesOf(before, now))
      before = now
    }
  } catch (error) {
    if (!over.aborted) throw error
  } finally {
    giveBack()
    release()
  }
}

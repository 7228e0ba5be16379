/**
 * A contract in two releases, the older one strict, and commands of every kind of outcome: for tests of recoveries between
 * processes. State, per node: how often each was run.
 */
import { setTimeout } from 'node:timers/promises'
import * as z from 'zod'
import type { Commands } from '../../node/index.ts'
import { defineProtocol, type Handlers } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'

const Cents = z.object({ cents: z.bigint(), receipt: z.instanceof(Uint8Array).optional() })
const common = {
  /** What JSON cannot hold. */
  pay: { request: Cents, response: Cents },
  /** Its first call hangs. */
  lookUp: { request: z.object({}), response: z.number(), idempotent: true, attemptTimeoutMs: 200 },
}
export const oldShop = defineProtocol({
  name: 'shop',
  version: '1.0.0',
  methods: {
    buy: { request: z.strictObject({ item: z.string() }), response: z.strictObject({ bought: z.string() }) },
    ...common,
  },
})
export const newShop = defineProtocol({
  name: 'shop',
  version: '1.1.0',
  methods: {
    buy: {
      request: z.object({ item: z.string(), note: z.string().optional() }),
      response: z.object({ bought: z.string() }),
    },
    ...common,
  },
})

export const createShop = (): { handlers: Handlers<typeof oldShop>; runs: Record<string, number> } => {
  const runs: Record<string, number> = {}
  const count = (name: string): number => {
    runs[name] = (runs[name] ?? 0) + 1
    return runs[name]
  }
  return {
    runs,
    handlers: {
      buy({ item }) {
        count('buy')
        return { bought: item }
      },
      pay(payment) {
        count('pay')
        return payment
      },
      lookUp: (_, { signal }) =>
        count('lookUp') > 1
          ? 42
          : new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    },
  }
}

/** `add`, with a schema; `refuse`, `break`, `hang`, `slow`, and `die`, which ends its process. */
export const registerCommands = async (commands: Commands, runs: Record<string, number>): Promise<void> => {
  const count = (name: string): void => {
    runs[name] = (runs[name] ?? 0) + 1
  }
  await commands.register(addCommand, ({ a, b }) => {
    count('add')
    return { sum: a + b }
  })
  await commands.register('refuse', () => {
    throw new ParleyError('STA003', 'not now', { hint: 'later', details: { until: 'noon' } })
  })
  await commands.register('break', () => {
    throw new Error('the key lies under the mat')
  })
  await commands.register('hang', () => {
    count('hang')
    return new Promise(() => {})
  })
  await commands.register('slow', async () => {
    count('slow')
    await setTimeout(900)
    return 'done'
  })
  await commands.register('envelope', (_, { envelope: { type, priority, headers } }) => ({ type, priority, headers }))
  await commands.register('die', () => process.exit(9))
}

export const addCommand = {
  type: 'math.add',
  parameters: z.object({ a: z.number(), b: z.number() }),
  result: z.object({ sum: z.number() }),
  description: 'Adds two numbers',
}

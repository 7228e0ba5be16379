/** A protocol that spends of budgets and passes parts on along a route, and the verb that has a peer serve it. */
import { setTimeout } from 'node:timers/promises'
import * as z from 'zod'
import type { Mesh } from '../../node/index.ts'
import { defineProtocol } from '../../protocols/define.ts'

const Step = z.object({
  /** Peer id. */
  to: z.string(),
  /** Tokens that go with it. */
  gives: z.number(),
  spends: z.number(),
  /** Milliseconds that it takes once they are spent. */
  takesMs: z.number().default(0),
})
const Once = z.object({ spends: z.number(), takesMs: z.number() })
const Order = Step.omit({ to: true, gives: true }).extend({ route: z.array(Step) })

export const pay = defineProtocol({
  name: 'pay',
  version: '1.0.0',
  methods: { pay: { request: Order, response: z.object({ left: z.number() }), timeoutMs: 10_000 } },
})

export const payVerbs = (meshOf: (as: string) => Mesh) => ({
  /** Takes tasks that draw so much, by their attempt, and spend; the first attempt waits until its process is killed. */
  workPay: async (as: string, _: undefined) => {
    const mesh = meshOf(as)
    await mesh.tasks.work('pay', async ({ input, attempt }, task) => {
      const { draws, spends } = z.object({ draws: z.array(z.number()), spends: z.number() }).parse(input)
      await task.draw({ tokens: draws[attempt - 1] ?? 0, fanOut: 1 })
      task.budget?.spend({ tokens: spends })
      if (attempt === 1 && draws.length > 1) await new Promise(() => {})
      await (await task.submit('child', { type: 'paid', budget: { amounts: { tokens: 5 } } })).result()
      return { left: task.budget?.remaining().tokens ?? -1 }
    })
    await mesh.tasks.work('paid', async (_task, task) => {
      await task.draw({ tokens: 5 })
      task.budget?.spend({ tokens: 2 })
    })
  },
  servePay: async (as: string, _: undefined) => {
    const mesh = meshOf(as)
    await mesh.serve(pay, {
      async pay({ spends, takesMs, route: [next, ...route] }, context) {
        context.budget?.spend({ tokens: spends })
        if (next !== undefined) {
          const { to, gives, ...step } = next
          const budget = { amounts: { tokens: gives, fanOut: route.length } }
          await mesh.to(to, pay).pay({ ...step, route }, { parent: context, budget })
        }
        await setTimeout(takesMs)
        return { left: context.budget?.remaining().tokens ?? -1 }
      },
    })
    /** Says what it had. */
    await mesh.commands.register('pay.once', async (parameters, { budget }) => {
      const { spends, takesMs } = Once.parse(parameters)
      const had = budget?.remaining().tokens ?? -1
      budget?.spend({ tokens: Math.min(had, spends) })
      await setTimeout(takesMs)
      return { had }
    })
  },
})

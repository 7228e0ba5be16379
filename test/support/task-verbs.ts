/** Verbs of tasks for peer-verbs.ts. State: none but that of the meshes. */
import { type Mesh, ParleyError } from '../../node/index.ts'

export const taskVerbs = (meshOf: (as: string) => Mesh) => ({
  /** Takes what is to be added up: two effects, a checkpoint, a child where it is told so. The first attempts fail where told. */
  workSums: async (as: string, _: undefined) => {
    await meshOf(as).tasks.work('sum', async ({ input, attempt }, { effect, checkpoint, submit, waitFor }) => {
      const { of, fails = 0, child, waits } = input as { of: number[]; fails?: number; child?: boolean; waits?: string }
      const sum = await effect('sum', () => of.reduce((all, one) => all + one, 0), { key: 'all' })
      if (attempt <= fails) throw new ParleyError('APP001', `attempt ${attempt} <img src=x onerror=alert(1)>`)
      await checkpoint(sum)
      if (child === true) await (await submit('part', { type: 'sum', input: { of: [1] } })).result()
      if (waits !== undefined) await waitFor(waits)
      return effect('told', () => sum)
    })
  },
  submitSum: async (
    as: string,
    { id, ...input }: { id: string; of: number[]; fails?: number; child?: boolean; waits?: string },
  ) => {
    await meshOf(as).tasks.submit({ id, type: 'sum', input, retry: { max: 1, delayMs: 10 } })
  },
  submitUnknown: async (as: string, { id }: { id: string }) => {
    await meshOf(as).tasks.submit({ id, type: 'nobody-does-this' })
  },
  endOfTask: async (as: string, { id }: { id: string }) =>
    (await meshOf(as).tasks.get(id).ended({ timeoutMs: 15_000 })).status,
})

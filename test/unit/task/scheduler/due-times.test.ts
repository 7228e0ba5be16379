/** What is due when: the same as a sorted list, whatever comes in whatever order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DueTimes } from '../../../../protocols/task/scheduler/due-times.ts'

test('what is due comes once, the earliest first, and never early', () => {
  const Step = fc.oneof(fc.record({ add: fc.nat(50) }), fc.record({ take: fc.nat(60) }))
  fc.assert(
    fc.property(fc.array(Step, { maxLength: 200 }), (steps) => {
      const due = new DueTimes()
      let model: { at: number; id: string }[] = []
      for (const [i, step] of steps.entries()) {
        if ('add' in step) {
          due.add(step.add, `t${i}`)
          model.push({ at: step.add, id: `t${i}` })
        } else {
          const times = new Map(model.map(({ at, id }) => [id, at]))
          const taken = due.take(step.take)
          const at = taken.map((id) => times.get(id) ?? Number.NaN)
          assert.deepEqual(
            at,
            [...at].sort((a, b) => a - b),
          )
          const expected = model.filter((one) => one.at <= step.take).map(({ id }) => id)
          assert.deepEqual([...taken].sort(), expected.sort())
          model = model.filter((one) => one.at > step.take)
        }
        assert.equal(due.size(), model.length)
        assert.equal(due.next(), model.length === 0 ? undefined : Math.min(...model.map((one) => one.at)))
      }
    }),
  )
})

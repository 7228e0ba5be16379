import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { figuresAfter, SecondRun, type TestEvent } from '../second-run.ts'

const failed = (file: string, name: string, nesting = 0): TestEvent => ({
  type: 'test:fail',
  data: { file, name, nesting, details: { error: new Error(`no ${name}`) } },
})
const secondRun = (most: number): SecondRun => new SecondRun(most, ({ data }) => String(data.file))

describe('files that run a second time', () => {
  it('are those with a failed test, and the failure is told at once as a remark', () => {
    const runs = secondRun(2)
    const [inner, outer] = [failed('a', 'inner', 1), failed('a', 'outer')]
    const told = runs.take(inner)
    assert.equal(told.type, 'test:diagnostic')
    assert.match(String(told.data.message), /a: inner[\s\S]*no inner/)
    runs.take(outer)
    assert.deepEqual(runs.files(), ['a'])
    assert.deepEqual(runs.rest(), [])
  })

  it('are none where more failed than may run again: then each failure is reported', () => {
    const runs = secondRun(1)
    const all = [failed('a', 'one'), failed('b', 'two')]
    for (const one of all) runs.take(one)
    assert.deepEqual(runs.files(), [])
    assert.deepEqual(runs.rest(), all)
  })

  it('are none where nobody asked for it', () => {
    const runs = secondRun(0)
    const one = failed('a', 'one')
    assert.equal(runs.take(one), one)
    assert.deepEqual(runs.files(), [])
    assert.deepEqual(runs.rest(), [])
  })

  it('are not those with a test that passes or is still to be done', () => {
    const runs = secondRun(2)
    const passed: TestEvent = { type: 'test:pass', data: { file: 'a', name: 'one', nesting: 0 } }
    const todo: TestEvent = { type: 'test:fail', data: { ...failed('b', 'two').data, todo: true } }
    assert.equal(runs.take(passed), passed)
    assert.equal(runs.take(todo), todo)
    assert.deepEqual(runs.files(), [])
  })
})

describe('the figures', () => {
  const first = new Map(Object.entries({ tests: 10, suites: 2, pass: 6, fail: 2, cancelled: 1, skipped: 1, todo: 0 }))

  it('are those of the second run where a file ran again', () => {
    const well = figuresAfter(first, new Map(Object.entries({ tests: 3, pass: 3, fail: 0, cancelled: 0 })))
    assert.deepEqual([well.get('tests'), well.get('pass'), well.get('fail'), well.get('cancelled')], [10, 9, 0, 0])
    assert.equal(well.get('suites'), 2)
  })

  it('tell what failed again', () => {
    const again = figuresAfter(first, new Map(Object.entries({ tests: 3, pass: 2, fail: 1, cancelled: 0 })))
    assert.deepEqual([again.get('pass'), again.get('fail'), again.get('cancelled')], [8, 1, 0])
  })
})

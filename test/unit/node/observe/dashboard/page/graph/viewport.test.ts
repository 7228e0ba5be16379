import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Body } from '../../../../../../../node/observe/dashboard/page/graph/force-layout.ts'
import {
  bodyAt,
  nearestInDirection,
  stepToward,
  toPlane,
  viewportFor,
} from '../../../../../../../node/observe/dashboard/page/graph/viewport.ts'

const CANVAS = { width: 800, height: 600, scale: 1, x: 0, y: 0 }

const body = (id: string, x: number, y: number, more: { self?: boolean; leftAt?: number } = {}): Body => ({
  id,
  label: id,
  x,
  y,
  bornAt: 0,
  leftAt: more.leftAt,
  node: {
    id,
    name: id,
    self: more.self ?? false,
    state: 'alive',
    isCoordinator: false,
    raftRole: undefined,
    peer: undefined,
    agent: undefined,
    reportedMs: undefined,
  },
})

describe('the view of the graph', () => {
  it('holds all nodes that are there, and is never closer than its largest scale', () => {
    const wide = viewportFor([body('a', -1000, 0), body('b', 1000, 100), body('gone', 9e9, 0, { leftAt: 1 })], CANVAS)
    for (const [x, y] of [
      [-1000, 0],
      [1000, 100],
    ] as const) {
      const [left, top] = [(x - wide.x) * wide.scale + 400, (y - wide.y) * wide.scale + 300]
      assert.ok(left >= 0 && left <= 800 && top >= 0 && top <= 600, `${left} ${top}`)
    }
    assert.equal(viewportFor([body('a', 5, 5)], CANVAS).scale, 1.35)
    assert.deepEqual(viewportFor([], CANVAS), CANVAS)
  })

  it('moves toward its goal and comes to rest there', () => {
    const goal = { ...CANVAS, scale: 1.3, x: 200, y: -100 }
    let step = stepToward(CANVAS, goal)
    assert.ok(step.isMoving && step.view.x > 0 && step.view.x < 200)
    for (let frame = 0; frame < 200 && step.isMoving; frame += 1) step = stepToward(step.view, goal)
    assert.ok(!step.isMoving && Math.abs(step.view.x - 200) < 1)
  })

  it('finds the nearest node under the pointer, and none where nobody is', () => {
    const at = { scale: 1, now: 10_000, isCalm: true }
    const bodies = [body('a', 0, 0), body('b', 20, 0), body('gone', 1, 0, { leftAt: 1 })]
    assert.equal(bodyAt(bodies, toPlane({ x: 402, y: 300 }, CANVAS), at), 'a')
    assert.equal(bodyAt(bodies, toPlane({ x: 415, y: 300 }, CANVAS), at), 'b')
    assert.equal(bodyAt(bodies, toPlane({ x: 600, y: 300 }, CANVAS), at), undefined)
  })

  it('goes to the next node in a direction, and begins with this node', () => {
    const bodies = [body('a', 0, 0), body('b', 100, 10), body('c', 100, 300), body('me', -50, 0, { self: true })]
    assert.equal(nearestInDirection(bodies, undefined, 1, 0)?.id, 'me')
    assert.equal(nearestInDirection(bodies, 'a', 1, 0)?.id, 'b')
    assert.equal(nearestInDirection(bodies, 'a', 0, 1)?.id, 'b')
    assert.equal(nearestInDirection(bodies, 'b', 0, 1)?.id, 'c')
    assert.equal(nearestInDirection(bodies, 'me', -1, 0), undefined)
  })
})

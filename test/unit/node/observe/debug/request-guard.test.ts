import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isAllowedHost, isLoopback } from '../../../../../node/observe/debug/request-guard.ts'

describe('the Host of a request', () => {
  const cases: [header: string | undefined, bound: string, meant: boolean][] = [
    ['localhost', '127.0.0.1', true],
    ['LocalHost.:9000', '127.0.0.1', true],
    ['127.0.0.1:9000', '127.0.0.1', true],
    ['127.255.0.1', '127.0.0.1', true],
    ['[::1]:9000', '127.0.0.1', true],
    ['[0:0:0:0:0:0:0:1]', '127.0.0.1', true],
    ['10.1.2.3:9000', '10.1.2.3', true],
    ['10.1.2.4', '10.1.2.3', false],
    ['10.1.2.3', '127.0.0.1', false],
    ['[fd00:0::0:7]:9000', 'fd00::7', true],
    ['[fd00::8]', 'fd00::7', false],
    ['Node-1:9000', 'node-1', true],
    ['node-2', 'node-1', false],
    ['10.1.2.3:9000', '0.0.0.0', true],
    ['[fd00::8]', '::', true],
    ['node-1', '0.0.0.0', false],
    ['evil.example', '::', false],
    ['evil.example', '127.0.0.1', false],
    ['localhost.evil.example', '127.0.0.1', false],
    ['127.0.0.1.evil.example', '127.0.0.1', false],
    ['127.0.0.1@evil.example', '127.0.0.1', false],
    ['evil.example#localhost', '127.0.0.1', false],
    ['2130706433', '127.0.0.1', false],
    ['::1', '127.0.0.1', false],
    ['[::1', '127.0.0.1', false],
    ['localhost:', '127.0.0.1', false],
    ['localhost:80:80', '127.0.0.1', false],
    ['', '127.0.0.1', false],
    [undefined, '127.0.0.1', false],
  ]
  for (const [header, bound, meant] of cases) {
    it(`${JSON.stringify(header)} is ${meant ? '' : 'not '}meant for an endpoint on ${bound}`, () => {
      assert.equal(isAllowedHost(header, bound), meant)
    })
  }

  it('tells loopback from the rest of the network', () => {
    for (const host of ['localhost', '127.0.0.1', '127.3.2.1', '::1']) assert.equal(isLoopback(host), true, host)
    for (const host of ['0.0.0.0', '::', '10.0.0.1', 'node-1', '']) assert.equal(isLoopback(host), false, host)
  })
})

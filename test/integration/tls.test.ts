/** WebSocket over TLS with a certificate of its own, made by openssl where there is one. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { get } from 'node:https'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createMesh, isParleyError } from '../../node/index.ts'
import { testFolder } from '../support/folder.ts'
import { startMesh, stopMeshes } from '../support/meshes.ts'

after(stopMeshes)

const hasOpenssl = (): boolean => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const statusOf = (port: number, ca: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, ca, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', reject)
  })

test('a WebSocket address with /tls speaks TLS with the certificate of the options', {
  skip: !hasOpenssl(),
}, async (context) => {
  const folder = await testFolder(context)
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  execFileSync('openssl', [...args, ...names, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' })
  const { mesh } = await startMesh({ listen: ['/ip4/127.0.0.1/tcp/0/tls/ws'], tls: { certFile, keyFile } })
  const port = Number(mesh.self.addresses[0]?.split('/')[4])
  // What is no WebSocket is refused, but over TLS.
  assert.equal(await statusOf(port, await readFile(certFile, 'utf8')), 400)
})

test('a certificate that is not there is named', async () => {
  const tls = { certFile: 'none.pem', keyFile: 'none.pem' }
  await assert.rejects(createMesh({ listen: ['/ip4/127.0.0.1/tcp/0/tls/ws'], tls }), (error) => {
    assert.ok(isParleyError(error, 'STA003'))
    assert.match(error.message, /none\.pem/)
    return true
  })
})

/** The entry `parley-mesh/testing`: a mesh of several nodes in one process, in virtual time. */
export { TestMesh, type TestMeshOptions } from './test-mesh.ts'
export type { TestNode, TestNodeOptions } from './test-node.ts'

import { TestMesh, type TestMeshOptions } from './test-mesh.ts'

/** @throws MSG001 for a seed or a latency that cannot be used */
export const createTestMesh = async (options: TestMeshOptions = {}): Promise<TestMesh> => new TestMesh(options)

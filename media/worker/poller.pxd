import cython

from media.worker cimport wire


cdef class Poller:
    cdef object _epoll
    cdef list _callbacks
    cdef bint _interrupted

    cpdef watch(self, int descriptor, object callback)
    cpdef forget(self, int descriptor)

    @cython.locals(place=cython.int, callbacks=list)
    cpdef turn(self, object seconds=*)

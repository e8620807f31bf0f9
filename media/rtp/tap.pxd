cdef class Tap:
    cpdef take(self, object coding, object source, int sequence, unsigned int timestamp, bytes payload, double now)
